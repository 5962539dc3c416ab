//! `task`: work that the members of a mesh share, each piece done by one of them.

use claudemesh_client::api::{Task, TaskChange, TaskCreate, TaskQuery, TaskState};
use claudemesh_client::{Error, ErrorKind};

use super::{Named, Outcome, Scope, name_of, time, who, word};
use crate::app::App;
use crate::output::{Page, Tone};
use crate::spinner::patiently;
use crate::{stdin, value};

/// What is to be done, or what came of it.
const BODY: stdin::Kind = stdin::Kind { becomes: "a task's text", most: 64 * 1024 };

const CREATE_EXAMPLES: &str = "\
Examples:
  claudemesh task create \"build the image\"
  claudemesh task create \"deploy it\" --depends-on 0190c2f4-7e51-7abc-8def-0123456789ab --assignee bob
  claudemesh task create \"fix the parser\" --body - --topic deploys < report.md";

const LIST_EXAMPLES: &str = "\
Examples:
  claudemesh task list --state open
  claudemesh task list --member bob                    what bob may claim or has claimed
  claudemesh task list --json=id,title,state";

const CLAIM_EXAMPLES: &str = "\
Examples:
  claudemesh task claim 0190c2f4-7e51-7abc-8def-0123456789ab
  claudemesh task claim 0190c2f4-7e51 --session ci --json

Of all who try, one gets it; the others get exit code 7.";

const RELEASE_EXAMPLES: &str = "\
Examples:
  claudemesh task release 0190c2f4-7e51-7abc-8def-0123456789ab
  claudemesh task release 0190c2f4-7e51 --fence 832    only if it is still that claim";

const COMPLETE_EXAMPLES: &str = "\
Examples:
  claudemesh task complete 0190c2f4-7e51-7abc-8def-0123456789ab
  claudemesh task complete 0190c2f4-7e51 --result \"image 4f2a\"
  make 2>&1 | claudemesh task complete 0190c2f4-7e51 --result - --fence 832";

const SHOW_EXAMPLES: &str = "\
Examples:
  claudemesh task show 0190c2f4-7e51-7abc-8def-0123456789ab
  claudemesh task show 0190c2f4-7e51 --json=state,result";

/// Verbs of tasks.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    Create(Create),
    List(List),
    Show(Show),
    Claim(Claim),
    Release(Release),
    Complete(Complete),
}

impl Verb {
    /// Whether `--session` means something to the verb.
    pub(crate) const fn knows_session(&self) -> bool {
        matches!(self, Self::Claim(_))
    }
}

/// Make a task
#[derive(clap::Args)]
#[command(after_help = CREATE_EXAMPLES)]
pub(crate) struct Create {
    /// Title, 1 KiB at most
    #[arg(value_name = "TITLE", value_parser = value::filled)]
    title: String,
    /// What is to be done, or - to read it from standard input: UTF-8, 64 KiB at most
    #[arg(long, value_name = "TEXT|-", allow_hyphen_values = true)]
    body: Option<String>,
    /// A task that must be done before, by id; may be given again
    #[arg(long, value_name = "ID", value_parser = value::filled)]
    depends_on: Vec<String>,
    /// The only one who may claim it: name, or 8 digits of the key
    #[arg(long, value_name = "NAME", value_parser = value::filled)]
    assignee: Option<String>,
    /// Your own id for the task, a UUID: made twice, it is one task
    #[arg(long, value_name = "UUID", value_parser = value::message_id)]
    id: Option<String>,
    #[command(flatten)]
    scope: Scope,
}

/// Show tasks
#[derive(clap::Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct List {
    /// Only in this state
    #[arg(long, value_enum)]
    state: Option<Choice>,
    /// Only those this member may claim or has claimed: name, or 8 digits of the key
    #[arg(long, value_name = "NAME", value_parser = value::filled)]
    member: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only of this topic [default: the whole mesh and every topic]
    #[arg(long, value_name = "TOPIC", value_parser = value::filled)]
    topic: Option<String>,
}

/// States of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    /// Waits for other tasks
    Blocked,
    /// Can be claimed
    Open,
    /// Somebody is at it
    Claimed,
    /// Done
    Done,
}

impl From<Choice> for TaskState {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Blocked => Self::Blocked,
            Choice::Open => Self::Open,
            Choice::Claimed => Self::Claimed,
            Choice::Done => Self::Done,
        }
    }
}

/// Show a task
#[derive(clap::Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub(crate) struct Show {
    /// The task's id, or 8 or more of its first digits
    #[arg(value_name = "ID", value_parser = value::filled)]
    id: String,
}

/// Claim a task
#[derive(clap::Args)]
#[command(after_help = CLAIM_EXAMPLES)]
pub(crate) struct Claim {
    /// The task's id, or 8 or more of its first digits
    #[arg(value_name = "ID", value_parser = value::filled)]
    id: String,
    #[command(flatten)]
    named: Named,
}

/// Give a claimed task back
#[derive(clap::Args)]
#[command(after_help = RELEASE_EXAMPLES)]
pub(crate) struct Release {
    /// The task's id, or 8 or more of its first digits
    #[arg(value_name = "ID", value_parser = value::filled)]
    id: String,
    /// Only if it is still this claim, by the number that claiming printed
    #[arg(long, value_name = "NUMBER")]
    fence: Option<u64>,
}

/// Complete a claimed task
#[derive(clap::Args)]
#[command(after_help = COMPLETE_EXAMPLES)]
pub(crate) struct Complete {
    /// The task's id, or 8 or more of its first digits
    #[arg(value_name = "ID", value_parser = value::filled)]
    id: String,
    /// What came of it, or - to read it from standard input: UTF-8, 64 KiB at most
    #[arg(long, value_name = "TEXT|-", allow_hyphen_values = true)]
    result: Option<String>,
    /// Only if it is still this claim, by the number that claiming printed
    #[arg(long, value_name = "NUMBER")]
    fence: Option<u64>,
}

/// Runs the verb.
pub(crate) async fn run(app: &mut App, verb: Verb) -> Outcome {
    match verb {
        Verb::Create(args) => create(app, args).await,
        Verb::List(args) => list(app, args).await,
        Verb::Show(args) => shown(app, args).await,
        Verb::Claim(Claim { id, named }) => {
            let Named { request_id } = named;
            let request = TaskChange { id, session: app.global.session(), request_id, ..TaskChange::default() };
            let service = app.service().await?;
            let task = patiently(&app.output, "claiming", service.task_claim(app.mesh(), request)).await?;
            app.output.show(&task, |page| said(page, "claimed", &task))
        }
        Verb::Release(Release { id, fence }) => {
            let request = TaskChange { id, fence, ..TaskChange::default() };
            let service = app.service().await?;
            let task = patiently(&app.output, "releasing", service.task_release(app.mesh(), request)).await?;
            app.output.show(&task, |page| said(page, "released", &task))
        }
        Verb::Complete(Complete { id, result, fence }) => {
            let result = text(app, result)?;
            let request = TaskChange { id, result, fence, ..TaskChange::default() };
            let service = app.service().await?;
            let task = patiently(&app.output, "completing", service.task_complete(app.mesh(), request)).await?;
            app.output.show(&task, |page| said(page, "completed", &task))
        }
    }
}

fn text(app: &mut App, argument: Option<String>) -> Result<Option<String>, Error> {
    argument.map(|argument| stdin::text(app, argument, &BODY)).transpose()
}

async fn create(app: &mut App, args: Create) -> Outcome {
    let Create { title, body, depends_on, assignee, id, scope } = args;
    let request = TaskCreate { title, body: text(app, body)?, depends_on, assignee, id, topic: scope.topic };
    let service = app.service().await?;
    let task = patiently(&app.output, "making the task", service.task_create(app.mesh(), request)).await?;
    app.output.show(&task, |page| said(page, "made", &task))
}

async fn list(app: &mut App, args: List) -> Outcome {
    let List { state, member, limit, topic } = args;
    let query = TaskQuery { state: state.map(Into::into), member, topic, limit: Some(limit), id: None };
    let tasks = app.service().await?.tasks(app.mesh(), query).await?;
    let rows: Vec<Vec<String>> = tasks.tasks.iter().map(row).collect();
    app.output.show(&tasks, |page| page.table(&["ID", "STATE", "WHO", "TITLE"], &rows))?;
    if rows.is_empty() {
        app.output.note(|page| page.line("no tasks"));
    }
    Ok(())
}

fn row(task: &Task) -> Vec<String> {
    let who = match (&task.claimed_by, &task.assignee) {
        (Some(member), _) => name_of(&member.name, &member.id).to_owned(),
        (None, Some(member)) => format!("for {}", name_of(&member.name, &member.id)),
        (None, None) => String::new(),
    };
    vec![task.id.clone(), word(task.state), who, task.title.clone()]
}

async fn shown(app: &mut App, args: Show) -> Outcome {
    let query = TaskQuery { id: Some(args.id.clone()), ..TaskQuery::default() };
    let tasks = app.service().await?.tasks(app.mesh(), query).await?;
    let Some(task) = tasks.tasks.into_iter().next() else {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no task {}", args.id))
            .with_hint("`claudemesh task list` shows the tasks")
            .into());
    };
    app.output.show(&task, |page| show(page, &task))
}

/// What was done to a task, in two lines.
fn said(page: &mut Page, done: &str, task: &Task) {
    let fence = task.fence.filter(|_| task.state == TaskState::Claimed);
    let fence = fence.map(|fence| format!("  fence {fence}")).unwrap_or_default();
    page.spans(&[(Tone::Good, done), (Tone::Plain, ": "), (Tone::Plain, &task.title)]);
    page.spans(&[(Tone::Faint, "id "), (Tone::Faint, &task.id), (Tone::Faint, &fence)]);
}

fn show(page: &mut Page, task: &Task) {
    page.spans(&[(Tone::Strong, &task.title), (Tone::Plain, "  "), (tone(task.state), &word(task.state))]);
    let mut fields = vec![("id", task.id.clone()), ("by", format!("{}, {}", who(&task.by), time(&task.at)))];
    let topic = task.topic.as_ref().map(|topic| format!("#{topic}"));
    let claimed = task.claimed_by.as_ref().map(|member| match &task.session {
        Some(session) => format!("{}, session {session}", who(member)),
        None => who(member),
    });
    let optional = [
        ("topic", topic),
        ("for", task.assignee.as_ref().map(who)),
        ("after", Some(task.depends_on.join(", ")).filter(|ids| !ids.is_empty())),
        ("claimed by", claimed),
        ("fence", task.fence.map(|fence| fence.to_string())),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    page.fields(&fields);
    for (name, text) in [("body", &task.body), ("result", &task.result)] {
        if let Some(text) = text {
            page.spans(&[(Tone::Faint, "  "), (Tone::Faint, name)]);
            page.quoted(text);
        }
    }
}

const fn tone(state: TaskState) -> Tone {
    match state {
        TaskState::Done => Tone::Good,
        TaskState::Blocked => Tone::Warning,
        _ => Tone::Plain,
    }
}
