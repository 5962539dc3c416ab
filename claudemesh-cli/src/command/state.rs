//! `state`: keys with JSON values that the members of a mesh share.

use claudemesh_client::Error;
use claudemesh_client::Mesh;
use claudemesh_client::api::{StateDelete, StateEntry, StateKey, StateQuery, StateSet};
use serde_json::Value;

use super::follow::follow;
use super::{Named, Outcome, Scope, name_of, time};
use crate::app::App;
use crate::output::{Page, Tone};
use crate::spinner::patiently;
use crate::{stdin, value};

/// What is read for a value. How long the value may be is counted in its JSON, by the service.
const VALUE: stdin::Kind = stdin::Kind { becomes: "standard input", most: 1024 * 1024 };

const GET_EXAMPLES: &str = "\
Examples:
  claudemesh state get replicas
  claudemesh state get replicas --topic deploys
  claudemesh state get replicas --json=value,version

Prints the value as JSON on a line.";

const SET_EXAMPLES: &str = "\
Examples:
  claudemesh state set replicas 3
  claudemesh state set owner alice                     no JSON, so it is the string \"alice\"
  claudemesh state set lock '{\"by\": \"ci\"}' --ttl 10m
  jq -c .limits config.json | claudemesh state set limits -

A value is JSON if it reads as JSON, else a string; 64 KiB at most.";

const CAS_EXAMPLES: &str = "\
Examples:
  claudemesh state cas replicas 12.0 4
  claudemesh state cas leader none alice --ttl 60s     only if nobody ever set it

Of all who try with one version, one succeeds; the others get exit code 7.";

const LIST_EXAMPLES: &str = "\
Examples:
  claudemesh state list
  claudemesh state list deploy/ --topic deploys
  claudemesh state list --json=key,value,version";

const DELETE_EXAMPLES: &str = "\
Examples:
  claudemesh state delete replicas
  claudemesh state delete lock --expect 12.0           only if it was not changed";

const WATCH_EXAMPLES: &str = "\
Examples:
  claudemesh state watch
  claudemesh state watch deploy/ --current
  claudemesh state watch --after 12.0 --json

One JSON object a line with --json, deleted keys too. A reader that keeps the last `version` and gives it as \
--after misses no change.";

/// Verbs of the shared state.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    Get(Get),
    Set(Set),
    Cas(Cas),
    List(List),
    Delete(Delete),
    Watch(Watch),
}

/// Show the value of a key
#[derive(clap::Args)]
#[command(after_help = GET_EXAMPLES)]
pub(crate) struct Get {
    /// The key
    #[arg(value_name = "KEY", value_parser = value::filled)]
    key: String,
    #[command(flatten)]
    scope: Scope,
}

/// Set a key
#[derive(clap::Args)]
#[command(after_help = SET_EXAMPLES)]
pub(crate) struct Set {
    /// The key, 256 bytes at most
    #[arg(value_name = "KEY", value_parser = value::filled)]
    key: String,
    /// JSON, a plain string, or - to read it from standard input without its last line break
    #[arg(value_name = "VALUE|-", allow_negative_numbers = true)]
    value: String,
    /// How long until it is gone, such as 10m [default: it stays]
    #[arg(long, value_name = "TIME", value_parser = value::seconds)]
    ttl: Option<u64>,
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    scope: Scope,
}

/// Set a key if nobody changed it meanwhile
#[derive(clap::Args)]
#[command(after_help = CAS_EXAMPLES)]
pub(crate) struct Cas {
    /// The key, 256 bytes at most
    #[arg(value_name = "KEY", value_parser = value::filled)]
    key: String,
    /// The version it must still have, such as 12.0, or none when it must not exist
    #[arg(value_name = "EXPECT", value_parser = value::version)]
    expect: String,
    /// JSON, a plain string, or - to read it from standard input without its last line break
    #[arg(value_name = "VALUE|-", allow_negative_numbers = true)]
    value: String,
    /// How long until it is gone, such as 10m [default: it stays]
    #[arg(long, value_name = "TIME", value_parser = value::seconds)]
    ttl: Option<u64>,
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    scope: Scope,
}

/// Show keys and their values
#[derive(clap::Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct List {
    /// Only keys that begin so
    #[arg(value_name = "PREFIX", value_parser = value::filled)]
    prefix: Option<String>,
    #[command(flatten)]
    scope: Scope,
}

/// Delete a key
#[derive(clap::Args)]
#[command(after_help = DELETE_EXAMPLES)]
pub(crate) struct Delete {
    /// The key
    #[arg(value_name = "KEY", value_parser = value::filled)]
    key: String,
    /// Only if it still has this version, such as 12.0
    #[arg(long, value_name = "VERSION", value_parser = value::place)]
    expect: Option<String>,
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    scope: Scope,
}

/// Print changes as they come, until interrupted
#[derive(clap::Args)]
#[command(after_help = WATCH_EXAMPLES)]
pub(crate) struct Watch {
    /// Only keys that begin so
    #[arg(value_name = "PREFIX", value_parser = value::filled)]
    prefix: Option<String>,
    /// Start with the keys there are
    #[arg(long)]
    current: bool,
    /// Start after this version, such as 12.0
    #[arg(long, value_name = "VERSION", conflicts_with = "current", value_parser = value::place)]
    after: Option<String>,
    #[command(flatten)]
    scope: Scope,
}

/// Runs the verb.
pub(crate) async fn run(app: &mut App, verb: Verb) -> Outcome {
    match verb {
        Verb::Get(Get { key, scope }) => {
            let entry = app.service().await?.state_get(app.mesh(), StateKey { key, topic: scope.topic }).await?;
            app.output.show(&entry, |page| page.line(&entry.value.to_string()))
        }
        Verb::Set(Set { key, value, ttl, named, scope }) => {
            let value = json(app, value)?;
            let Named { request_id } = named;
            set(app, StateSet { key, value, expect: None, ttl, topic: scope.topic, request_id }).await
        }
        Verb::Cas(Cas { key, expect, value, ttl, named, scope }) => {
            let value = json(app, value)?;
            let Named { request_id } = named;
            set(app, StateSet { key, value, expect: Some(expect), ttl, topic: scope.topic, request_id }).await
        }
        Verb::List(List { prefix, scope }) => list(app, prefix, scope).await,
        Verb::Delete(Delete { key, expect, named, scope }) => {
            let request = StateDelete { key, expect, topic: scope.topic, request_id: named.request_id };
            let service = app.service().await?;
            let entry = patiently(&app.output, "deleting", service.state_delete(app.mesh(), request)).await?;
            app.output.show(&entry, |page| page.line(&format!("deleted {}; version {}", entry.key, entry.version)))
        }
        Verb::Watch(args) => watch(app, args).await,
    }
}

/// The argument's value, or that of standard input: JSON, or the text itself.
fn json(app: &mut App, argument: String) -> Result<Value, Error> {
    let text = if argument == "-" {
        let mut text = stdin::all(app, &VALUE)?;
        // What ends a line in a shell is not meant to be stored.
        if text.ends_with('\n') {
            text.pop();
        }
        text
    } else {
        argument
    };
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn set(app: &mut App, request: StateSet) -> Outcome {
    let service = app.service().await?;
    let entry = patiently(&app.output, "setting", service.state_set(app.mesh(), request)).await?;
    app.output.show(&entry, |page| {
        let until = entry.expires_at.as_deref().map(|at| format!(", until {}", time(at))).unwrap_or_default();
        page.line(&format!("set {}; version {}{until}", entry.key, entry.version));
    })
}

async fn list(app: &mut App, prefix: Option<String>, scope: Scope) -> Outcome {
    let query = StateQuery { prefix, topic: scope.topic, ..StateQuery::default() };
    let entries = app.service().await?.state_list(app.mesh(), query).await?;
    let rows: Vec<Vec<String>> = entries.entries.iter().map(row).collect();
    app.output.show(&entries, |page| page.table(&["KEY", "VERSION", "BY", "UNTIL", "VALUE"], &rows))?;
    if rows.is_empty() {
        app.output.note(|page| page.line("no keys"));
    }
    Ok(())
}

fn row(entry: &StateEntry) -> Vec<String> {
    vec![
        entry.key.clone(),
        entry.version.clone(),
        name_of(&entry.by.name, &entry.by.id).into(),
        entry.expires_at.as_deref().map(time).unwrap_or_default(),
        entry.value.to_string(),
    ]
}

async fn watch(app: &mut App, args: Watch) -> Outcome {
    let interrupted = app.interrupted()?;
    let service = app.service().await?;
    let mesh = Mesh::from_service(service, app.mesh()).await?;
    let state = match args.scope.topic {
        Some(topic) => mesh.topic(topic).state(),
        None => mesh.state(),
    };
    let mut watch = state.watch(args.prefix.as_deref());
    if args.current {
        watch = watch.with_current();
    }
    if let Some(version) = args.after {
        watch = watch.after(version);
    }
    let changes = watch.await?;
    follow(app, interrupted, changes, show).await
}

fn show(page: &mut Page, entry: &StateEntry) {
    let about = format!("  {}  {}  ", entry.version, name_of(&entry.by.name, &entry.by.id));
    let (tone, value) =
        if entry.deleted { (Tone::Faint, "deleted".into()) } else { (Tone::Plain, entry.value.to_string()) };
    page.spans(&[(Tone::Strong, &entry.key), (Tone::Faint, &about), (tone, &value)]);
}
