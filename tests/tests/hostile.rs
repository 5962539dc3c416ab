//! Hostile brokers, hostile members and wrong clocks, against the real client library and the real broker: what they do is
//! rejected, named and survived.

mod hostile {
    mod clock;
    mod logs;
    mod mail;
    mod order;
    mod peer;
    mod prekeys;
    mod private;
    mod receipts;
    mod roster;
    mod store;
}
