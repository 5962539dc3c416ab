//! Error and closing codes: one list for WebSocket, HTTP and SDKs.

use core::fmt;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable text on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The code with this text; an unknown text reads as the last, most general one.
            #[must_use]
            pub fn from_wire(text: &str) -> Self {
                Self::ALL.iter().copied().find(|code| code.as_str() == text).unwrap_or(Self::ALL[Self::ALL.len() - 1])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(self.as_str())?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Ok(Self::from_wire(d.str()?))
            }
        }
    };
}

codes! {
    /// Why a request was refused.
    ErrorCode {
        /// The bytes are not a well-formed request.
        Malformed = "malformed",
        /// Over a limit of size or count.
        TooLarge = "too_large",
        /// An unknown frame type, version or critical key.
        Unsupported = "unsupported",
        /// The handshake is not done or failed.
        Unauthenticated = "unauthenticated",
        /// The device is not in this mesh.
        NotAMember = "not_a_member",
        /// The device or its member was removed.
        Removed = "removed",
        /// Not permitted to this device.
        Forbidden = "forbidden",
        /// No such mesh here.
        UnknownMesh = "unknown_mesh",
        /// The recipient is not a live device of the mesh.
        UnknownRecipient = "unknown_recipient",
        /// No such log.
        UnknownLog = "unknown_log",
        /// The roster head named is not on the broker's chain.
        UnknownHead = "unknown_head",
        /// The roster has grown since the entry was made.
        HeadMoved = "head_moved",
        /// The roster or log entry breaks a rule.
        InvalidEntry = "invalid_entry",
        /// The invite's time is over.
        InviteExpired = "invite_expired",
        /// The epoch was made before a removal.
        StaleEpoch = "stale_epoch",
        /// A device record with a higher counter is stored.
        StaleRecord = "stale_record",
        /// Another commit made this epoch.
        EpochTaken = "epoch_taken",
        /// The log has grown since.
        OffsetMoved = "offset_moved",
        /// The same id with other content.
        IdConflict = "id_conflict",
        /// The recipient has no such prekey.
        NoPrekey = "no_prekey",
        /// The sender was removed.
        SenderRemoved = "sender_removed",
        /// The expiry lies too far ahead.
        TtlTooLong = "ttl_too_long",
        /// The expiry has passed.
        Expired = "expired",
        /// The recipient's mailbox is full.
        MailboxFull = "mailbox_full",
        /// Too many requests.
        RateLimited = "rate_limited",
        /// The mesh was closed by its owner.
        MeshClosed = "mesh_closed",
        /// The mesh exists already.
        MeshExists = "mesh_exists",
        /// The broker lost data it had confirmed.
        BrokerRolledBack = "broker_rolled_back",
        /// The broker is stopping.
        ShuttingDown = "shutting_down",
        /// A passing fault, such as a full disk.
        Unavailable = "unavailable",
        /// A bug of the broker's.
        Internal = "internal",
    }
}

impl ErrorCode {
    /// Whether the identical request may succeed later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::MailboxFull
                | Self::RateLimited
                | Self::ShuttingDown
                | Self::Unavailable
                | Self::Internal
                | Self::UnknownHead
        )
    }
}

codes! {
    /// Why the broker closes a connection.
    Closing {
        /// A newer connection of the same device took over.
        Replaced = "replaced",
        /// The device was removed.
        Removed = "removed",
        /// The mesh was closed.
        MeshClosed = "mesh_closed",
        /// The broker is stopping.
        Shutdown = "shutdown",
        /// The reader is too slow.
        Slow = "slow",
        /// The peer broke the protocol.
        Protocol = "protocol",
    }
}
