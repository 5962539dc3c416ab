//! The mesh's own log: learning names and the label, publishing the own ones, taking broadcasts.

use alloc::vec::Vec;

use super::logs::LogRecords;
use super::message::{InboxBody, InboxRow};
use super::{Action, Change, Context, Notice, Session};
use crate::address::Name;
use crate::envelope::{Content, ContentBody};
use crate::id::LogId;
use crate::log::directory::{Directory, DirectoryRecord};
use crate::log::{Membership, Record};

impl Session {
    /// Names and label as the directory has them.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Folds records of the mesh's own log.
    pub(super) fn take_directory<R>(&mut self, opened: &LogRecords, cx: &mut Context<'_, R>) {
        let (mut changed, mut broadcasts) = (false, Vec::new());
        for (at, record) in (0..).map(|index| (opened.offset, index)).zip(&opened.records) {
            match fold(&mut self.directory, opened, at, record) {
                Some(DirectoryRecord::Broadcast { id, content }) => broadcasts.push((id, content)),
                applied => changed |= applied.is_some(),
            }
        }
        cx.out.extend(changed.then_some(Action::Notify(Notice::Directory)));
        // What was said before this device was there is history.
        if !opened.witnessed || opened.device == self.device {
            return;
        }
        for (id, content) in broadcasts {
            let Ok(content) = Content::decode(&content) else { continue };
            let ContentBody::Text(text) = content.body else { continue };
            cx.persist(Change::Inbox(InboxRow {
                id,
                device: opened.device,
                member: opened.member,
                from_session: content.sending_session,
                session: content.target_session,
                to: content.addressed,
                body: InboxBody::Text(text),
                sent_at: content.sent_at,
                received_at: cx.now,
                priority: content.priority,
                reply_to: content.reply_to,
                copy: !content.acting.contains(&self.device),
                hops: content.hops,
            }));
        }
    }

    /// What this device has to say of itself and has not said yet.
    /// Whether the mesh's own log, as far as it was read, gives this member the name it wished: what was written before that
    /// is known by then, or known to be missing.
    #[must_use]
    pub fn is_introduced(&self) -> bool {
        self.name.as_deref().is_none_or(|name| self.directory.name_of(&self.member) == Some(name))
    }

    /// Whether everything in the mesh's own log, as far as it is known here, could be read.
    #[must_use]
    pub fn is_acquainted(&self) -> bool {
        let own = LogId::of_mesh(&self.mesh);
        let nothing_sealed = self.log_size(&own).is_some_and(|(_, sealed)| sealed == 0);
        self.is_introduced() && nothing_sealed && self.missing_epochs(&own).next().is_none()
    }

    pub(super) fn wished_records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        if let Some(name) = &self.name
            && self.directory.name_of(&self.member) != Some(name.as_str())
        {
            records.push(DirectoryRecord::MemberName { member: self.member, name: name.clone() }.encode());
        }
        if let Some(label) = &self.wished_label
            && self.directory.label() != Some(label.as_str())
            && self.roster.is_admin(&self.member)
        {
            records.push(DirectoryRecord::MeshLabel(label.clone()).encode());
        }
        records
    }
}

pub(super) fn fold(
    directory: &mut Directory,
    opened: &LogRecords,
    at: crate::log::directory::RecordAt,
    record: &Record,
) -> Option<DirectoryRecord> {
    let is_name = |text: &str| text.parse::<Name>().is_ok();
    directory.apply(at, &opened.member, opened.is_admin, record, is_name)
}
