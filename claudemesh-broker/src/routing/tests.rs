use claudemesh_core::wire::Ping;
use proptest::prelude::*;

use super::*;

const NOW: Millis = Millis(1_000);

fn pushed(window: &mut Window, offsets: std::ops::RangeInclusive<u64>, full: bool) -> Option<(u64, usize)> {
    let read = window.begin()?;
    let offsets: Vec<u64> = offsets.collect();
    assert_eq!(window.push(read.0, &offsets, full, NOW), 0..offsets.len());
    Some(read)
}

#[test]
fn a_window_reads_on_where_it_stopped() {
    let mut window = Window::new(100);
    assert_eq!(pushed(&mut window, 1..=64, true), Some((0, 64)));
    assert_eq!(pushed(&mut window, 65..=90, false), Some((64, 36)));
    assert_eq!(window.begin(), None, "the mailbox was read to its end");
    window.grown();
    assert_eq!(pushed(&mut window, 91..=100, true), Some((90, 10)));
    assert_eq!(window.begin(), None, "the window is full");
    window.acknowledge(&[1, 2, 50]);
    assert_eq!(window.begin(), Some((100, 3)));
}

#[test]
fn mail_that_comes_during_a_read_is_read_next() {
    let mut window = Window::new(10);
    let (after, _) = window.begin().unwrap();
    window.grown();
    assert_eq!(window.push(after, &[1], false, NOW), 0..1);
    assert_eq!(window.begin(), Some((1, 9)));
}

#[test]
fn a_rewound_window_reads_again_from_the_lowest_without_a_receipt() {
    let mut window = Window::new(10);
    pushed(&mut window, 1..=5, false);
    window.acknowledge(&[1, 2, 4]);
    assert!(!window.rewind(30, NOW.plus(29)));
    assert!(window.rewind(30, NOW.plus(30)));
    let (after, items) = window.begin().unwrap();
    assert_eq!((after, items), (2, 10));
    assert_eq!(window.push(after, &[3, 5], false, NOW.plus(30)), 0..2);
    assert!(!window.rewind(30, NOW.plus(31)));
    window.acknowledge(&[3, 5]);
    assert!(!window.rewind(30, NOW.plus(99)), "nothing is out");
}

#[test]
fn rows_read_before_a_rewind_are_not_pushed_out_of_order() {
    let mut window = Window::new(10);
    pushed(&mut window, 1..=2, true);
    let (after, _) = window.begin().unwrap();
    assert!(window.rewind(30, NOW.plus(30)));
    assert_eq!(window.push(after, &[3, 4], false, NOW), 0..0);
    assert_eq!(window.begin(), Some((0, 10)));
}

#[test]
fn only_the_very_next_row_is_pushed_without_a_read() {
    let mut window = Window::new(3);
    assert_eq!(pushed(&mut window, 1..=1, false), Some((0, 3)));
    assert!(window.push_next(2, true, NOW));
    assert_eq!(window.begin(), None, "nothing is left to read");
    assert!(!window.push_next(4, true, NOW), "one is missing");
    assert_eq!(window.begin(), Some((2, 1)));
    // The one that was missing comes while the mailbox is read.
    assert!(window.push_next(3, true, NOW));
    assert_eq!(window.push(2, &[3], true, NOW), 1..1);
    assert!(!window.push_next(4, true, NOW), "the window is full");
    window.acknowledge(&[2]);
    assert_eq!(window.begin(), Some((3, 1)));
    assert_eq!(window.push(3, &[4], false, NOW), 0..1);
    window.acknowledge(&[1, 3, 4]);
    assert!(!window.push_next(4, true, NOW), "it was read before it was told");
    assert_eq!(window.begin(), None);
    assert!(!window.push_next(5, false, NOW), "the outbox has no room");
    assert_eq!(window.begin(), Some((4, 3)));
}

#[test]
fn a_rewound_window_takes_nothing_out_of_order() {
    let mut window = Window::new(10);
    pushed(&mut window, 1..=2, false);
    assert!(window.rewind(30, NOW.plus(30)));
    assert!(!window.push_next(3, true, NOW));
    let (after, _) = window.begin().unwrap();
    assert_eq!(window.push(after, &[1, 2, 3], false, NOW), 0..3);
    assert!(window.push_next(4, true, NOW));
}

#[test]
fn modes_permit_what_they_are_for() {
    let join = Mode::Join(InviteId::from_bytes([1; 32]));
    let ping = Body::from(Ping { time: 0 });
    let list = Body::from(wire::LogList {});
    let append = Body::from(wire::RosterAppend { entry: Bytes::default() });
    for (mode, body, permitted) in [
        (Mode::Device, &list, true),
        (join, &list, false),
        (Mode::Create, &list, false),
        (join, &ping, true),
        (join, &append, true),
        (Mode::Create, &append, true),
    ] {
        assert_eq!(permits(mode, body).is_ok(), permitted, "{mode:?} {}", body.name());
    }
    assert_eq!(permits(Mode::Device, &wire::Done {}.into()).unwrap_err().code, ErrorCode::Unsupported);
}

#[test]
fn every_refusal_of_the_store_has_a_code_of_its_own() {
    for refusal in
        [Refusal::Malformed, Refusal::HeadMoved, Refusal::MailboxFull, Refusal::NoPrekey, Refusal::MeshExists]
    {
        assert_eq!(code_of(refusal).as_str(), refusal.code());
    }
    assert_eq!(Refused::from(StoreError::DiskFull).code, ErrorCode::Unavailable);
    assert!(Refused::from(StoreError::DiskFull).retry_after_ms.is_some());
    assert_eq!(Refused::from(StoreError::Corrupt("x".into())).code, ErrorCode::Internal);
}

#[test]
fn what_is_no_submission_is_refused_whole() {
    let (mesh, device) = (MeshId::from_bytes([1; 32]), DeviceId::from_bytes([2; 32]));
    for bytes in [&[][..], &[0xa0], &[0xff; 40]] {
        assert!(matches!(
            read_submission(bytes, &mesh, &device, |_, _| panic!("a copy of it")),
            Submitted::Refused(1, ErrorCode::Malformed)
        ));
    }
}

/// What can happen around a window, in any order.
#[derive(Clone, Debug)]
enum Event {
    Store,
    /// The engine hears of one of the rows that were stored.
    Tell(usize),
    BeginRead,
    EndRead,
    Acknowledge(usize),
    Rewind,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => Just(Event::Store),
        4 => (0..4_usize).prop_map(Event::Tell),
        2 => Just(Event::BeginRead),
        2 => Just(Event::EndRead),
        3 => (0..4_usize).prop_map(Event::Acknowledge),
        1 => Just(Event::Rewind),
    ];
    prop::collection::vec(event, 0..60)
}

/// A mailbox, what was pushed of it, and a read under way.
#[derive(Default)]
struct Mailbox {
    last: u64,
    rows: Vec<u64>,
    untold: Vec<u64>,
    read: Option<(u64, usize, Vec<u64>)>,
    out: Vec<u64>,
    pushed: Vec<u64>,
}

impl Mailbox {
    fn take(&mut self, offset: u64) {
        let before = self.rows.iter().filter(|row| **row < offset);
        assert!(before.clone().all(|row| self.pushed.contains(row)), "{offset} passed one of {:?}", self.rows);
        assert!(!self.pushed.contains(&offset), "{offset} was pushed twice");
        self.pushed.push(offset);
        self.out.push(offset);
    }

    fn apply(&mut self, window: &mut Window, event: &Event) {
        match event {
            Event::Store => {
                self.last += 1;
                self.rows.push(self.last);
                self.untold.push(self.last);
            }
            Event::Tell(at) if *at < self.untold.len() => {
                let offset = self.untold.remove(*at);
                if window.push_next(offset, true, NOW) {
                    self.take(offset);
                }
            }
            Event::BeginRead if self.read.is_none() => {
                let Some((after, items)) = window.begin() else { return };
                let rows = self.rows.iter().copied().filter(|row| *row > after).take(items).collect();
                self.read = Some((after, items, rows));
            }
            Event::EndRead => {
                let Some((after, items, rows)) = self.read.take() else { return };
                let out = window.push(after, &rows, rows.len() >= items, NOW);
                rows[out].iter().for_each(|row| self.take(*row));
            }
            Event::Acknowledge(at) if *at < self.out.len() => {
                let offset = self.out.remove(*at);
                self.rows.retain(|row| *row != offset);
                window.acknowledge(&[offset]);
            }
            Event::Rewind if window.rewind(0, NOW) => {
                self.out.clear();
                // Even what was acknowledged may come again, if the engine hears of it only now.
                self.pushed.clear();
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn whatever_overlaps_rows_are_pushed_in_order_and_once(events in events(), size in 1..6_usize) {
        let (mut window, mut mailbox) = (Window::new(size), Mailbox::default());
        for event in &events {
            mailbox.apply(&mut window, event);
            assert!(mailbox.out.len() <= size, "more than the window holds");
        }
        while !mailbox.untold.is_empty() {
            mailbox.apply(&mut window, &Event::Tell(0));
        }
        for _ in 0..2 * events.len() {
            for event in [Event::EndRead, Event::BeginRead, Event::EndRead, Event::Acknowledge(0)] {
                mailbox.apply(&mut window, &event);
            }
        }
        assert!(mailbox.rows.is_empty(), "never pushed: {:?}", mailbox.rows);
    }
}
