//! Decisions of the broker as pure functions: who may ask what, what a submission asks the store for, which mail goes out
//! next. No clock, no locks, no store.

use std::collections::BTreeMap;
use std::ops::Range;

use claudemesh_core::codec::{self, Bytes, Malformed};
use claudemesh_core::envelope::{
    Delivery, EnvelopeError, MAX_RECIPIENTS, MemberOf, Proof, StoredEnvelope, StoredRecord, Submission,
};
use claudemesh_core::receipt::{ReceiptError, ReceiptState, VerifiedReceipt};
use claudemesh_core::roster::{Entry, Payload};
use claudemesh_core::wire::{self, Body, ErrorCode};
use claudemesh_core::{DeviceId, InviteId, MeshId, Millis};

use crate::store::{self, Refusal, StoreError};

/// Mail of one `deliver` frame.
const MAX_BATCH: usize = 64;

/// What an open connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Device,
    Join(InviteId),
    Create,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: ErrorCode,
    pub(crate) detail: &'static str,
    pub(crate) retry_after_ms: Option<u64>,
}

impl Refused {
    pub(crate) const fn new(code: ErrorCode, detail: &'static str) -> Self {
        Self { code, detail, retry_after_ms: None }
    }

    pub(crate) fn body(self) -> Body {
        let Self { code, detail, retry_after_ms } = self;
        wire::Error { code, detail: detail.into(), retry_after_ms }.into()
    }
}

/// How long a client waits before it tries again what failed for a reason of ours.
const RETRY_MS: u64 = 2_000;

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => Self::new(code_of(refusal), ""),
            error if error.is_retryable() => Self {
                code: ErrorCode::Unavailable,
                detail: "the broker cannot write just now",
                retry_after_ms: Some(RETRY_MS),
            },
            _ => Self::new(ErrorCode::Internal, "the broker's store is damaged"),
        }
    }
}

/// The protocol's code of a store's refusal.
pub(crate) fn code_of(refusal: Refusal) -> ErrorCode {
    ErrorCode::from_wire(refusal.code())
}

/// Whether a connection of this mode may ask this.
pub(crate) fn permits(mode: Mode, body: &Body) -> Result<(), Refused> {
    let permitted = match body {
        Body::Ping(_) | Body::RosterAppend(_) | Body::RosterRange(_) => true,
        Body::RecordPut(_)
        | Body::RecordGet(_)
        | Body::Enqueue(_)
        | Body::ReceiptPut(_)
        | Body::NoticesDone(_)
        | Body::LogAppend(_)
        | Body::LogRange(_)
        | Body::LogFollow(_)
        | Body::LogList(_)
        | Body::PresencePut(_) => mode == Mode::Device,
        _ => return Err(Refused::new(ErrorCode::Unsupported, "not a request")),
    };
    if permitted { Ok(()) } else { Err(Refused::new(ErrorCode::Forbidden, "connect as a device for this")) }
}

/// Whether a joiner may append this entry: the one by which its own device comes in, by the invite it proved.
pub(crate) fn check_joining(entry: &Entry, invite: &InviteId, device: &DeviceId) -> Result<(), Refused> {
    let named = match entry.payload() {
        Payload::MemberJoined(payload) => Some(&payload.invite),
        Payload::DeviceAdded(payload) => Some(&payload.invite),
        _ => None,
    };
    if named == Some(invite) && entry.author() == device {
        Ok(())
    } else {
        Err(Refused::new(ErrorCode::Forbidden, "a joiner appends its own joining entry"))
    }
}

/// A submission, as far as it can be read.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// For the store.
    Fine(Box<store::Enqueue>),
    /// Refused for all its recipients, of which this many are known.
    Refused(usize, ErrorCode),
}

/// Reads a submission of `device` in `mesh`. Its signature is for the receivers to check: they trust no broker, and a
/// sender who signs badly harms only itself. Every copy of one that is fine is shown to `each`.
pub(crate) fn read_submission(
    bytes: &[u8],
    mesh: &MeshId,
    device: &DeviceId,
    each: impl FnMut(&StoredEnvelope, &StoredRecord),
) -> Submitted {
    let Ok(submission) = Submission::decode(bytes) else { return Submitted::Refused(1, ErrorCode::Malformed) };
    let recipients = submission.records.len();
    match to_enqueue(submission, mesh, device, each) {
        Ok(enqueue) => Submitted::Fine(Box::new(enqueue)),
        Err(code) => Submitted::Refused(recipients.clamp(1, MAX_RECIPIENTS), code),
    }
}

fn to_enqueue(
    submission: Submission,
    mesh: &MeshId,
    device: &DeviceId,
    mut each: impl FnMut(&StoredEnvelope, &StoredRecord),
) -> Result<store::Enqueue, ErrorCode> {
    let parsed = submission.parse().map_err(|error| match error {
        EnvelopeError::Size => ErrorCode::TooLarge,
        _ => ErrorCode::Malformed,
    })?;
    let header = *parsed.header();
    if header.mesh != *mesh || header.sender != *device {
        return Err(ErrorCode::Forbidden);
    }
    let hash = parsed.envelope_hash();
    let (envelope, records) = parsed.into_parts();
    let first = records.first().ok_or(ErrorCode::Malformed)?;
    let proof = Proof::from_stored(&envelope, first).map_err(|Malformed| ErrorCode::Malformed)?;
    records.iter().for_each(|record| each(&envelope, record));
    Ok(store::Enqueue {
        mesh: header.mesh,
        sender: header.sender,
        id: header.id,
        attempt: header.attempt,
        hash,
        expires: header.expires,
        deliver_at: header.deliver_at,
        head: header.head,
        envelope: envelope.encode().into(),
        proof: codec::encode(&proof).into(),
        recipients: records
            .into_iter()
            .map(|stored| store::Recipient {
                device: stored.record.recipient,
                prekey: stored.record.prekey_id,
                lane: stored.record.lane as u8,
                seq: stored.record.seq,
                record: stored.bytes,
                member_of: codec::encode(&stored.member_of).into(),
            })
            .collect(),
    })
}

/// What the store said of one recipient, on the wire.
pub(crate) fn outcome(outcome: store::Outcome) -> wire::Outcome {
    match outcome {
        store::Outcome::Accepted => wire::Outcome::Accepted,
        store::Outcome::Duplicate => wire::Outcome::Duplicate,
        store::Outcome::Refused(refusal) => wire::Outcome::Refused(code_of(refusal)),
    }
}

/// The delivery that a mailbox row is for its recipient.
pub(crate) fn deliver(row: &store::Delivery) -> Result<wire::Delivered, Malformed> {
    let envelope = StoredEnvelope::decode(&row.envelope)?;
    let member_of: MemberOf = codec::decode(&row.member_of)?;
    let delivery = Delivery::assemble(&envelope, &row.record, &member_of).into();
    Ok(wire::Delivered { offset: row.offset, delivery })
}

/// What a verified receipt asks the store for.
pub(crate) fn to_ack(receipt: &VerifiedReceipt, mesh: MeshId) -> store::Receipt {
    let part = |sender: DeviceId| Some((sender, Bytes(receipt.part_for(&sender)?.encode())));
    store::Receipt {
        mesh,
        recipient: receipt.device(),
        items: receipt
            .items()
            .iter()
            .map(|item| store::ReceiptItem {
                sender: item.sender,
                id: item.id,
                attempt: item.attempt,
                hash: item.envelope,
                refused: item.state != ReceiptState::Delivered,
            })
            .collect(),
        parts: receipt.senders().into_iter().filter_map(part).collect(),
    }
}

/// Why a receipt is refused.
pub(crate) fn bad_receipt(error: ReceiptError) -> Refused {
    match error {
        ReceiptError::WrongDevice | ReceiptError::WrongMesh => {
            Refused::new(ErrorCode::Forbidden, "a receipt of another device or mesh")
        }
        _ => Refused::new(ErrorCode::Malformed, "not a signed receipt"),
    }
}

/// A notice on the wire.
pub(crate) fn notice((offset, notice): (u64, store::Notice)) -> wire::NumberedNotice {
    let notice = match notice {
        store::Notice::Receipt(part) => wire::Notice::Receipt(part),
        store::Notice::Expired { recipient, id, attempt } => wire::Notice::Expired { device: recipient, id, attempt },
    };
    wire::NumberedNotice { offset, notice }
}

/// The deliveries of one connection: what is out without a receipt, and what goes next.
#[derive(Debug)]
pub(crate) struct Window {
    size: usize,
    /// When each unacknowledged row was pushed.
    out: BTreeMap<u64, Millis>,
    /// The last offset pushed.
    cursor: u64,
    /// The mailbox may hold more beyond the cursor.
    more: bool,
}

impl Window {
    /// A window over `size` rows. The mailbox is looked at once in any case.
    pub(crate) const fn new(size: usize) -> Self {
        Self { size, out: BTreeMap::new(), cursor: 0, more: true }
    }

    /// The mailbox may have grown.
    pub(crate) fn grown(&mut self) {
        self.more = true;
    }

    /// Whether rows would be pushed if there was room in the outbox.
    pub(crate) fn wants(&self) -> bool {
        self.more && self.out.len() < self.size
    }

    /// The read to make: rows after this offset, at most this many. Whatever arrives from now on is `grown` again.
    pub(crate) fn begin(&mut self) -> Option<(u64, usize)> {
        if !self.wants() {
            return None;
        }
        self.more = false;
        Some((self.cursor, (self.size - self.out.len()).min(MAX_BATCH)))
    }

    /// Takes the offsets of a read that began after `after`; a `full` read may have left some. Says which of them go out:
    /// the first may have been pushed meanwhile, the last find no place any more. None does when the window was rewound and
    /// they are to be read again.
    pub(crate) fn push(&mut self, after: u64, offsets: &[u64], full: bool, now: Millis) -> Range<usize> {
        if self.cursor < after {
            self.more = true;
            return 0..0;
        }
        let from = offsets.partition_point(|offset| *offset <= self.cursor);
        let to = offsets.len().min(from + self.size.saturating_sub(self.out.len()));
        self.out.extend(offsets[from..to].iter().map(|offset| (*offset, now)));
        self.cursor = offsets[from..to].last().map_or(self.cursor, |offset| *offset);
        self.more |= full || to < offsets.len();
        from..to
    }

    /// Takes a row that was just stored, if it is the very next and there is a place for it. If not, the mailbox is read,
    /// unless a read has brought it already.
    pub(crate) fn push_next(&mut self, offset: u64, room: bool, now: Millis) -> bool {
        let next = offset == self.cursor + 1 && room && self.out.len() < self.size;
        if next {
            self.out.insert(offset, now);
            self.cursor = offset;
        } else if offset > self.cursor {
            self.more = true;
        }
        next
    }

    /// These rows got their receipt.
    pub(crate) fn acknowledge(&mut self, offsets: &[u64]) {
        for offset in offsets {
            self.out.remove(offset);
        }
    }

    /// Goes back to the lowest row without a receipt when that was pushed `after` milliseconds ago. What is gone from
    /// the mailbox frees its place by that.
    pub(crate) fn rewind(&mut self, after: u64, now: Millis) -> bool {
        match self.out.first_key_value() {
            Some((&lowest, &at)) if now.since(at) >= after => {
                self.out.clear();
                self.cursor = lowest.saturating_sub(1);
                self.more = true;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
