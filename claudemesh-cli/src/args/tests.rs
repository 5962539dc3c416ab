use super::*;

fn parsed(args: &[&str]) -> Cli {
    match parse(std::iter::once("claudemesh").chain(args.iter().copied()).map(OsString::from)) {
        Ok(cli) => cli,
        Err(error) => panic!("{args:?}: {error}"),
    }
}

fn refused(args: &[&str]) -> clap::Error {
    match parse(std::iter::once("claudemesh").chain(args.iter().copied()).map(OsString::from)) {
        Ok(_) => panic!("{args:?} is accepted"),
        Err(error) => error,
    }
}

const ID: &str = crate::testing::ID;

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_form_of_every_verb_parses() {
    let lines: &[&str] = &[
        "up",
        "up --mesh team --name alice --listen 127.0.0.1:0 --advertise ws://10.0.0.5:7900 --insecure-ws",
        "up --broker wss://mesh.example.org --foreground",
        "up --template dev-team",
        "down",
        "broker run --listen 0.0.0.0:7900 --data /tmp/b",
        "invite",
        "invite --uses 3 --expires 7d --role member --name-hint bob",
        "invite create --uses 1000",
        "invite list",
        "invite --json list",
        "invite --mesh team create --uses 3",
        "invite revoke 5d41a02b --mesh team",
        "join - --name bob",
        "join https://mesh.example.org/i#abc",
        "send bob hello",
        "send bob -",
        "send bob -5",
        "send --json bob -- --not-a-flag",
        "send bob/work hi --priority now --ttl 7d --wait delivered --timeout 30s --session ci",
        "send bob hi --wait read --timeout 30",
        "message send bob hi",
        "inbox --unread --wait 5 --limit 10 --peek",
        "message inbox --wait 5m",
        "listen --consumer ci --session work",
        "listen --topic deploys --topic #builds",
        "listen --no-topics",
        "peers --all",
        "peer list --all",
        "peers --json=name,status",
        "--json=id,from.name inbox",
        "inbox --json=* --unread",
        "send --json=id bob hi",
        "listen --json=type,message.body",
        "send @backend/api hi",
        "send #deploys hi",
        "send * hi",
        "topic create deploys --purpose ships --private --member bob --member eve --history joining",
        "topic create builds --retention 30d",
        "topic retention builds 12h",
        "topic retention builds forever",
        "compact",
        "compact --topic builds",
        "topic list --joined --session ci",
        "topic join #deploys",
        "topic leave deploys --mesh team",
        "topic members deploys",
        "topic add deploys bob --role observer",
        "topic remove deploys bob",
        "topic post deploys -",
        "topic post deploys -5 --session ci",
        "topic history deploys --limit 1000 --before 12.0 --after 1.63",
        "topic tail deploys",
        "topic tail deploys --last 10",
        "topic tail deploys --after 12.0",
        "topic search words --topic deploys --limit 200",
        "topic read deploys --through 12.0 --session ci",
        "group join @backend/api --role reviewer --member bob",
        "group leave backend",
        "group list",
        "group list @backend",
        "notification list --all --limit 5",
        "notification read 3 4",
        "notification read --all",
        "state get key --topic deploys",
        "state set key -5 --ttl 10m",
        "state set key -",
        "state cas key none value",
        "state cas key 12.0 -1 --topic deploys --ttl 1h",
        "state list",
        "state list deploy/ --topic deploys",
        "state delete key --expect 12.0",
        "state watch",
        "state watch deploy/ --current",
        "state watch --after 12.0",
        "remember text --tag a --tag b --topic deploys",
        "memory remember -",
        "recall",
        "memory recall words --tag a --limit 5 --topic deploys",
        "task create title --body - --depends-on 0190c2f4 --assignee bob --topic deploys",
        "task create title --body --dashes",
        "task list --state open --member bob --limit 5 --topic deploys",
        "task show 0190c2f4",
        "task claim 0190c2f4 --session ci",
        "task release 0190c2f4 --fence 832",
        "task complete 0190c2f4 --result - --fence 832",
        "summary text",
        "summary --clear",
        "status",
        "status set dnd --mesh team",
        "whoami --mesh team",
        "mesh list",
        "mesh use team",
        "mesh rename team other",
        "mesh leave team --yes",
        "mesh delete team",
        "member list",
        "member remove bob --yes",
        "member role bob admin",
        "install",
        "install --status-line --allow-tools --dry-run --json",
        "uninstall --dry-run",
        "launch",
        "launch --mesh team --name api --groups backend,ops/night --role reviewer",
        "launch --resume",
        "launch --resume 0190c2f4 -- --model opus -p hi",
        "launch --continue -- --resume",
        "statusline --mesh team",
        "doctor --json=name,verdict",
        "service install",
        "service install --print",
        "service uninstall",
        "service status --json",
        "completions bash",
        "man",
        "man --dir /tmp/man1",
        "daemon",
    ];
    for line in lines {
        parsed(&line.split(' ').collect::<Vec<_>>());
    }
    parsed(&["message", "status", ID]);
    parsed(&["send", "bob", "hi", "--id", ID, "--reply-to", ID]);
    parsed(&["topic", "post", "deploys", "hi", "--id", ID, "--reply-to", ID]);
    parsed(&["topic", "history", "deploys", "--thread", ID]);
    parsed(&["topic", "resolve", "deploys", ID, "--reopen"]);
    parsed(&["forget", ID]);
    parsed(&["memory", "forget", ID]);
    parsed(&["remember", "hi", "--id", ID]);
    parsed(&["task", "create", "hi", "--id", ID]);
}

#[test]
fn wrong_command_lines_are_refused() {
    let lines: &[&str] = &[
        "",
        "frob",
        "install --mesh team",
        "install now",
        "doctor --mesh team",
        "service",
        "service start",
        "launch --role reviewer",
        "launch --resume a --continue",
        "launch --name a/b",
        "launch --json",
        "launch -p hi",
        "up --broker wss://h --listen 127.0.0.1:0",
        "up --template dev-taem",
        "listen --topic deploys --no-topics",
        "topic retention builds",
        "topic retention builds 30",
        "up --listen nowhere",
        "up --broker https://h",
        "broker",
        "broker run --listen 127.0.0.1:0",
        "invite --uses 0",
        "invite --uses 1001",
        "invite --expires 7",
        "invite --role owner",
        "invite --uses 3 list",
        "invite --name-hint bob revoke 5d41a02b",
        "completions bash --json",
        "man --json",
        "man send",
        "join",
        "send bob",
        "send bob two words",
        "send bob,eve hi",
        "send bob hi --timeout 3s",
        "send bob hi --wait sent",
        "send bob hi --id 7",
        "send bob hi --ttl 0s",
        "send bob --what",
        "inbox --limit 0",
        "inbox --wait soon",
        "message status 7",
        "status set lazy",
        "topic",
        "topic create",
        "topic create deploys --history some",
        "topic add deploys",
        "topic add deploys bob --role king",
        "topic post deploys",
        "topic post deploys two words",
        "topic post deploys hi --reply-to 7",
        "topic history deploys --limit 0",
        "topic history deploys --limit 1001",
        "topic history deploys --before 12",
        "topic tail deploys --after none",
        "topic tail deploys --after 1.0 --last 5",
        "topic search",
        "topic resolve deploys 7",
        "group join",
        "notification read",
        "notification read 3 --all",
        "state set key",
        "state cas key 12 value",
        "state cas key value",
        "state delete key --expect none",
        "state watch --current --after 1.0",
        "state set key value --ttl soon",
        "remember",
        "recall --limit 201",
        "forget 0190c2f4",
        "task create",
        "task list --state lost",
        "task claim",
        "task release 0190c2f4 --fence now",
        "summary",
        "summary text --clear",
        "member role bob king",
        "completions tcsh-but-not",
        // Flags that would mean nothing.
        "down --mesh team",
        "status --mesh team",
        "mesh list --mesh team",
        "broker run --listen 127.0.0.1:0 --data d --mesh team",
        "whoami --session ci",
        // Fields there are not.
        "peers --json=",
        "peers --json=name,",
        "peers --json=nam",
        "peers --json=name,member.id",
        "send --json=text bob hi",
        "daemon --json=name",
        "peers --session ci",
        "topic history deploys --session ci",
        "state get key --session ci",
        "task complete 0190c2f4 --session ci",
    ];
    for line in lines {
        let error = refused(&line.split_whitespace().collect::<Vec<_>>());
        assert!(error.use_stderr() && error.exit_code() == 2, "{line}");
    }
}

#[test]
fn typing_errors_get_a_suggestion() {
    for (line, suggestion) in [
        ("inbx", "inbox"),
        ("sned bob hi", "send"),
        ("inbox --unreda", "--unread"),
        ("send bob hi --wait deliverd", "delivered"),
        ("mesh lst", "list"),
        ("topic histroy deploys", "history"),
        ("task list --state opn", "open"),
    ] {
        let error = refused(&line.split(' ').collect::<Vec<_>>()).to_string();
        assert!(error.contains(suggestion), "{line}: {error}");
    }
}

#[test]
fn a_bare_link_means_join() {
    let link = crate::testing::LINK;
    for args in [
        vec![link],
        vec![link, "--name", "bob"],
        vec!["--json", link],
        vec!["--mesh", "team", link, "--json"],
        vec!["--mesh=team", link],
    ] {
        assert!(matches!(parsed(&args).command, Command::Join(_)), "{args:?}");
    }
    // Only in the verb's place.
    assert!(matches!(parsed(&["send", "bob", link]).command, Command::Send(_)));
}

#[test]
fn json_is_seen_where_parsing_fails() {
    let wants = |line: &str| wants_json(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
    assert!(wants("claudemesh frob --json") && wants("claudemesh --json frob") && wants("claudemesh --json=id frob"));
    assert!(!wants("claudemesh send bob -- --json") && !wants("claudemesh inbox"));
}

#[test]
fn json_takes_no_argument_from_the_verb() {
    assert!(matches!(parsed(&["--json", "inbox"]).command, Command::Inbox(_)));
    let cli = parsed(&["send", "--json", "bob", "hi"]);
    assert!(cli.global.json.unwrap().is_everything() && matches!(cli.command, Command::Send(_)));
}

#[test]
fn servers_are_told_from_the_rest() {
    for line in ["daemon", "up --foreground", "broker run --listen 127.0.0.1:0 --data d"] {
        assert!(parsed(&line.split(' ').collect::<Vec<_>>()).command.is_server(), "{line}");
    }
    for line in ["up", "send bob hi", "listen"] {
        assert!(!parsed(&line.split(' ').collect::<Vec<_>>()).command.is_server(), "{line}");
    }
}

#[test]
fn every_verb_explains_itself_with_examples() {
    fn check(command: &mut clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some(), "{path} says what it does");
        if command.has_subcommands() {
            let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
            for verb in verbs.iter().filter(|verb| *verb != "help") {
                check(command.find_subcommand_mut(verb).unwrap(), &path);
            }
        } else if !command.is_hide_set() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:\n  claudemesh "), "{path} has examples");
        }
    }
    check(&mut Cli::command(), "");
}
