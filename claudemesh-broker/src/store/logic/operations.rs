//! The store's trait over [`Logic`](super::Logic), the same for both stores.

/// The operations of the trait, each handed to `submit`.
macro_rules! store_operations {
    ($folds:ident) => {
        fn meta(&self) -> Pending<StoreMeta> {
            self.submit(Sync::Now, |logic: &mut Logic<$folds>| logic.meta())
        }

        fn roster_append_if_head(&self, mesh: MeshId, entry: Bytes, now: Millis) -> Pending<RosterAppended> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.roster_append(&mesh, &entry, true, now))
        }

        fn roster_restore_if_head(&self, mesh: MeshId, entry: Bytes, now: Millis) -> Pending<RosterAppended> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.roster_append(&mesh, &entry, false, now))
        }

        fn roster_range(&self, mesh: MeshId, from: u64, page: Page) -> Pending<RosterRange> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.roster_range(&mesh, from, page))
        }

        fn record_put(&self, put: RecordPut, now: Millis) -> Pending<()> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.record_put(&put, now))
        }

        fn record_get(&self, mesh: MeshId, devices: Vec<DeviceId>) -> Pending<Vec<Bytes>> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.record_get(&mesh, &devices))
        }

        fn device_facts(&self, mesh: MeshId, device: DeviceId) -> Pending<DeviceFacts> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.device_facts(&mesh, &device))
        }

        fn enqueue(&self, batch: Vec<Enqueue>, now: Millis) -> Pending<Enqueued> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.enqueue(batch, now))
        }

        fn mailbox(
            &self,
            mesh: MeshId,
            device: DeviceId,
            after: u64,
            page: Page,
            now: Millis,
        ) -> Pending<Vec<Delivery>> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.mailbox(&mesh, &device, after, page, now))
        }

        fn ack(&self, batch: Vec<Receipt>, now: Millis) -> Pending<Acked> {
            // The next attempt of a refused message is judged by its refusal: that one must not be lost.
            let refuses = batch.iter().flat_map(|receipt| &receipt.items).any(|item| item.refused);
            let sync = if refuses { Sync::Now } else { Sync::Later };
            self.submit(sync, move |logic: &mut Logic<$folds>| logic.ack(batch, now))
        }

        fn notices(&self, mesh: MeshId, device: DeviceId, after: u64, page: Page) -> Pending<Vec<(u64, Notice)>> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.notices(&mesh, &device, after, page))
        }

        fn notices_done(&self, mesh: MeshId, device: DeviceId, through: u64) -> Pending<()> {
            self.submit(Sync::Later, move |logic: &mut Logic<$folds>| logic.notices_done(&mesh, &device, through))
        }

        fn elapse(&self, now: Millis) -> Pending<Elapsed> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.elapse(now))
        }

        fn log_append(&self, append: LogAppend, now: Millis) -> Pending<LogAppended> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.log_append(&append, now))
        }

        fn log_range(&self, mesh: MeshId, log: LogId, from: u64, page: Page) -> Pending<LogRange> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.log_range(&mesh, &log, from, page))
        }

        fn log_list(&self, mesh: MeshId) -> Pending<Vec<LogInfo>> {
            self.submit(Sync::Now, move |logic: &mut Logic<$folds>| logic.log_list(&mesh))
        }
    };
}
pub(in crate::store) use store_operations;
