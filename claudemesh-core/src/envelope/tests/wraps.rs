//! Reuse of wraps by senders, of opened keys by receivers.

use super::*;

/// Seals one message to peer `peer` at `now` and returns its wrap.
fn wrap_at(world: &mut World, peer: usize, now: Millis, spoil: impl Fn(&mut Draft)) -> [u8; 80] {
    let mut draft = world.draft(&[peer], "x");
    spoil(&mut draft);
    let sealed = world.seal_at(&[draft], now).unwrap().remove(0);
    sealed.parse().unwrap().records()[0].wrap
}

#[test]
fn a_wrap_serves_ten_minutes_and_not_longer() {
    let mut world = world();
    let first = wrap_at(&mut world, 0, NOW, |_| ());
    assert_eq!(wrap_at(&mut world, 0, NOW.plus(599_999), |_| ()), first);
    assert_ne!(wrap_at(&mut world, 0, NOW.plus(600_000), |_| ()), first);
}

#[test]
fn a_clock_set_back_does_not_stretch_the_ten_minutes() {
    let mut world = world();
    let first = wrap_at(&mut world, 0, NOW, |_| ());
    assert_ne!(wrap_at(&mut world, 0, Millis(NOW.0 - 1), |_| ()), first);
}

#[test]
fn a_wrap_serves_a_thousand_messages_and_no_more() {
    let mut world = world();
    let first = wrap_at(&mut world, 0, NOW, |_| ());
    for _ in 1..1000 {
        assert_eq!(wrap_at(&mut world, 0, NOW, |_| ()), first);
    }
    assert_ne!(wrap_at(&mut world, 0, NOW, |_| ()), first);
}

#[test]
fn a_wrap_serves_one_pair_one_prekey_and_one_roster_head() {
    let spoils: [fn(&mut Draft); 5] = [
        |d| d.header.head = head(4),
        |d| d.header.mesh = MeshId::from_bytes([1; 32]),
        |d| d.recipients[0].prekey_id += 1,
        |d| d.recipients[0].prekey = PrekeySecret::from_bytes([3; 32]).public(),
        |d| d.recipients[0].device = DeviceId::from_bytes([3; 32]),
    ];
    for (index, spoil) in spoils.into_iter().enumerate() {
        let mut world = world();
        let first = wrap_at(&mut world, 0, NOW, |_| ());
        assert_ne!(wrap_at(&mut world, 0, NOW, spoil), first, "case {index}");
    }
}

#[test]
fn a_key_known_to_several_recipients_opens_nothing_else() {
    let mut world = world();
    let single = wrap_at(&mut world, 0, NOW, |_| ());
    for _ in 0..2 {
        let draft = world.draft(&[0, 1], "x");
        let parsed = world.seal(&[draft]).remove(0).parse().unwrap();
        assert_ne!(parsed.records()[0].wrap, single);
    }
    assert_eq!(world.wraps.len(), 1);
    assert_eq!(wrap_at(&mut world, 0, NOW, |_| ()), single);
}

#[test]
fn kept_wraps_are_bounded_swept_and_cleared() {
    let mut world = world();
    let first = wrap_at(&mut world, 0, NOW, |_| ());
    for i in 0..1024u32 {
        let device = DeviceId::from_bytes(core::array::from_fn(|at| i.to_be_bytes()[at % 4]));
        wrap_at(&mut world, 0, NOW, |d| d.recipients[0].device = device);
    }
    assert_eq!(world.wraps.len(), 1024);
    assert_ne!(wrap_at(&mut world, 0, NOW, |_| ()), first, "the oldest was dropped");
    world.wraps.sweep(NOW.plus(599_999));
    assert_eq!(world.wraps.len(), 1024);
    world.wraps.sweep(NOW.plus(600_000));
    assert!(world.wraps.is_empty());
    wrap_at(&mut world, 0, NOW, |_| ());
    world.wraps.clear();
    assert!(world.wraps.is_empty());
}

#[test]
fn a_reused_wrap_is_opened_once() {
    let mut world = world();
    let mut keys = UnwrapCache::new();
    let wrong = PrekeySecret::from_bytes([1; 32]);
    for (text, prekey) in [("first", &world.peers[0].prekey.to_bytes()), ("second", &wrong.to_bytes())] {
        let delivery = world.deliveries(&[0], text).remove(0);
        // The second opens without the prekey: its key is known.
        let content = world.verify(&delivery).unwrap().open(&PrekeySecret::from_bytes(**prekey), &mut keys);
        assert_eq!(content.unwrap(), text_content(text));
        assert_eq!(keys.len(), 1);
    }
    keys.forget_prekey(&world.peers[1].device, 70);
    keys.forget_prekey(&world.peers[0].device, 71);
    assert_eq!(keys.len(), 1);
    keys.forget_prekey(&world.peers[0].device, 70);
    assert!(keys.is_empty());
    let delivery = world.deliveries(&[0], "third").remove(0);
    assert_eq!(world.verify(&delivery).unwrap().open(&wrong, &mut keys), Err(OpenError::Unreadable));
}

#[test]
fn keys_of_several_recipients_and_of_failures_are_not_kept() {
    let mut world = world();
    let mut keys = UnwrapCache::new();
    let shared = world.deliveries(&[0, 1], "both").remove(0);
    world.verify(&shared).unwrap().open(&world.peers[0].prekey, &mut keys).unwrap();
    assert!(keys.is_empty());
    let single = world.deliveries(&[0], "x").remove(0);
    assert!(world.verify(&single).unwrap().open(&world.peers[1].prekey, &mut keys).is_err());
    assert!(keys.is_empty());
}
