use claudemesh_core::wire::Ping;

use super::*;

const NOW: Millis = Millis(1_000);

fn pushed(window: &mut Window, offsets: std::ops::RangeInclusive<u64>, full: bool) -> Option<(u64, usize)> {
    let read = window.begin()?;
    assert!(window.push(read.0, offsets, full, NOW));
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
    assert!(window.push(after, 1..=1, false, NOW));
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
    assert!(window.push(after, [3, 5].into_iter(), false, NOW.plus(30)));
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
    assert!(!window.push(after, 3..=4, false, NOW));
    assert_eq!(window.begin(), Some((0, 10)));
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
        assert!(matches!(read_submission(bytes, &mesh, &device), Submitted::Refused(1, ErrorCode::Malformed)));
    }
}
