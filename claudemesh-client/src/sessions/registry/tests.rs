use super::*;

fn host(id: &str, socket: Option<&str>, folder: &str) -> HostRef {
    HostRef {
        host: "claude-code".into(),
        id: Some(id.into()),
        pid: None,
        socket: socket.map(str::to_owned),
        cwd: Some(format!("/srv/{folder}")),
    }
}

fn wish(host: HostRef, pid: Option<u32>) -> Wish<'static> {
    Wish { host, process: pid.map(|pid| Process::of(pid, 1)), name: None, mesh: None, route: None }
}

fn named(registry: &mut Registry, host: HostRef, pid: u32, now: i64) -> String {
    registry.register(wish(host, Some(pid)), now).0
}

#[test]
fn sessions_of_one_folder_get_names_of_their_own() {
    let mut registry = Registry::default();
    assert_eq!(named(&mut registry, host("a", None, "api"), 1, 1), "api");
    assert_eq!(named(&mut registry, host("b", None, "api"), 2, 2), "api-2");
    assert_eq!(named(&mut registry, host("c", None, "main"), 3, 3), "session");
    let names: Vec<&str> = registry.live().into_iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["session", "api-2", "api"], "the most recently active first");
}

#[test]
fn a_cleared_conversation_keeps_its_name() {
    let mut registry = Registry::default();
    named(&mut registry, host("a", Some("/s/1"), "api"), 1, 1);
    // The hook knows the new id; the server of the session only the old one.
    assert_eq!(named(&mut registry, host("b", Some("/s/1"), "api"), 1, 2), "api");
    let old_id = HostRef { id: None, ..host("a", Some("/s/1"), "api") };
    assert_eq!(registry.register(wish(old_id, None), 3).0, "api");
    assert_eq!(registry.get("api").and_then(|entry| entry.host.id.clone()), Some("b".into()));
    assert_eq!(registry.live().len(), 1);
}

#[test]
fn a_resumed_conversation_gets_its_name_back_and_a_fork_does_not() {
    let mut registry = Registry::default();
    named(&mut registry, host("a", Some("/s/1"), "api"), 1, 1);
    assert_eq!(registry.sweep(2, |_| false), ["api"]);
    assert!(registry.live().is_empty());
    assert_eq!(named(&mut registry, host("fork", Some("/s/2"), "web"), 2, 3), "web");
    assert_eq!(named(&mut registry, host("a", Some("/s/3"), "web"), 3, 4), "api");
    let entry = registry.get("api").unwrap();
    assert_eq!((entry.host.socket.as_deref(), entry.since), (Some("/s/3"), 4));
}

#[test]
fn a_name_is_free_again_when_its_session_has_ended() {
    let mut registry = Registry::default();
    named(&mut registry, host("a", None, "api"), 1, 1);
    assert!(registry.event("api", HostRef::default(), HostEvent::SessionEnd, 2));
    assert_eq!(named(&mut registry, host("b", None, "api"), 2, 3), "api");
    // The first conversation goes on, but not under that name.
    assert_eq!(named(&mut registry, host("a", None, "api"), 3, 4), "api-2");
}

#[test]
fn one_conversation_in_two_processes_is_two_sessions() {
    let mut registry = Registry::default();
    assert_eq!(named(&mut registry, host("a", Some("/s/1"), "api"), 1, 1), "api");
    assert_eq!(named(&mut registry, host("a", Some("/s/2"), "api"), 2, 2), "api-2");
    // Without process and socket there is only its id to go by.
    assert_eq!(registry.find(&host("a", None, "api"), None).map(|entry| entry.name.as_str()), Some("api"));
}

#[test]
fn a_process_of_the_same_number_is_another_session() {
    let mut registry = Registry::default();
    named(&mut registry, host("a", None, "api"), 7, 1);
    let later = Wish { process: Some(Process::of(7, 2)), ..wish(host("b", None, "api"), None) };
    assert_eq!(registry.register(later, 2).0, "api-2");
    assert_eq!(registry.sweep(3, |process| *process == Process::of(7, 2)), ["api"]);
}

#[test]
fn a_name_that_is_wished_for_later_is_given() {
    let mut registry = Registry::default();
    named(&mut registry, host("a", Some("/s/1"), "api"), 1, 1);
    let wished = Wish { name: Some("review"), ..wish(host("a", Some("/s/1"), "api"), Some(1)) };
    assert_eq!(registry.register(wished.clone(), 2), ("review".into(), Some("api".into())));
    assert_eq!(registry.register(wished, 3), ("review".into(), None));
    let other = Wish { name: Some("review"), ..wish(host("b", Some("/s/2"), "api"), Some(2)) };
    assert_eq!(registry.register(other, 4).0, "review-2");
}

#[test]
fn a_hook_outranks_the_hand_and_the_hand_a_guess_but_quiet_is_quiet() {
    let mut registry = Registry::default();
    named(&mut registry, host("a", None, "api"), 1, 0);
    let status = |registry: &Registry, device, now| registry.get("api").unwrap().status(device, now);
    assert_eq!(status(&registry, Activity::Idle, 100_000), (Activity::Idle, StatusSource::Guess));
    registry.get_mut("api").unwrap().call(100_000);
    assert_eq!(status(&registry, Activity::Idle, 100_001), (Activity::Working, StatusSource::Guess));
    registry.get_mut("api").unwrap().set_manual(Activity::Blocked);
    assert_eq!(status(&registry, Activity::Idle, 100_001), (Activity::Blocked, StatusSource::Manual));
    registry.event("api", HostRef::default(), HostEvent::Prompt, 100_002);
    assert_eq!(status(&registry, Activity::Idle, 100_003), (Activity::Working, StatusSource::Hook));
    assert_eq!(status(&registry, Activity::Idle, 100_002 + FRESH), (Activity::Blocked, StatusSource::Manual));
    registry.get_mut("api").unwrap().set_manual(Activity::Dnd);
    assert_eq!(status(&registry, Activity::Idle, 100_003), (Activity::Dnd, StatusSource::Manual));
}

#[test]
fn a_turn_goes_on_when_its_conversation_is_made_shorter() {
    let mut registry = Registry::default();
    named(&mut registry, host("a", None, "api"), 1, 0);
    for (event, status) in [
        (HostEvent::SessionStart, Activity::Idle),
        (HostEvent::Prompt, Activity::Working),
        (HostEvent::SessionStart, Activity::Working),
        (HostEvent::Permission, Activity::Blocked),
        (HostEvent::Tool, Activity::Working),
        (HostEvent::Stop, Activity::Idle),
    ] {
        registry.event("api", HostRef::default(), event, 1);
        assert_eq!(registry.get("api").unwrap().status(Activity::Idle, 2), (status, StatusSource::Hook), "{event:?}");
    }
}

#[test]
fn what_ended_long_ago_is_forgotten() {
    let mut registry = Registry::default();
    named(&mut registry, host("a", None, "api"), 1, 1);
    registry.event("api", HostRef::default(), HostEvent::SessionEnd, 2);
    assert!(registry.forget(3).is_empty());
    assert_eq!(registry.forget(2 + REMEMBERED + 1), ["api"]);
    assert!(registry.get("api").is_none());
}
