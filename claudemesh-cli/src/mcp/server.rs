//! What the server answers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use claudemesh_client::api::{
    Activity, HostEvent, PresenceRequest, Priority, ReadRequest, SendRequest, SessionEvent, State, TakeQuery,
    WaitRequest,
};
use claudemesh_client::{Error, ErrorKind};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, ExperimentalCapabilities,
    Implementation, JsonObject, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::flush::Written;
use super::link::{Link, Linked};
use super::{Tools, environment, inbox, text, tools, verb};
use crate::command::hook;

/// Revisions with a handshake: with a later one the host takes no message that it did not ask for.
const REVISIONS: &[ProtocolVersion] = &[
    ProtocolVersion::V_2025_11_25,
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_03_26,
    ProtocolVersion::V_2024_11_05,
];
/// How long a sent message is waited for until it is at the broker.
const SENT_MS: u64 = 2_000;
/// How long what was shown may take until it is marked.
const MARKED: Duration = Duration::from_secs(5);
/// How long what a hook asks may take.
const HOOK: Duration = Duration::from_secs(2);

/// The server of a session.
pub(super) struct Server {
    link: Arc<Link>,
    tools: Tools,
    written: Written,
    /// Marks what was shown last; nothing is shown again meanwhile.
    marking: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Deserialize)]
struct Send {
    to: String,
    text: String,
    #[serde(default)]
    priority: Priority,
    reply_to: Option<String>,
    mesh: Option<String>,
}

#[derive(Deserialize)]
struct Check {
    limit: Option<u32>,
    /// The host's hook on whose behalf this is called.
    hook: Option<String>,
}

#[derive(Deserialize)]
struct Peers {
    mesh: Option<String>,
}

#[derive(Deserialize)]
struct Summary {
    summary: Option<String>,
    status: Option<Activity>,
}

#[derive(Deserialize)]
struct Verb {
    args: Vec<String>,
}

impl Server {
    pub(super) fn new(link: Arc<Link>, tools: Tools, written: Written) -> Self {
        Self { link, tools, written, marking: Mutex::default() }
    }

    async fn call(
        &self,
        name: &str,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, Error> {
        let Linked { service, session } = match name {
            // A hook is quick, or of no use.
            tools::INBOX if arguments.contains_key("hook") => match self.link.wait().await {
                Ok(linked) => linked,
                Err(_) => return Ok(plain("{}")),
            },
            _ => self.link.get().await?,
        };
        let own_mesh = self.link.mesh();
        match name {
            tools::SEND => {
                let Send { to, text, priority, reply_to, mesh } = parsed(arguments)?;
                let mesh = mesh.as_deref().or(own_mesh);
                let request = SendRequest {
                    to: vec![to],
                    text,
                    priority,
                    reply_to,
                    session: Some(session),
                    ..Default::default()
                };
                let sent = service.send(mesh, request).await?;
                let wait = WaitRequest { id: sent.id.clone(), state: State::Accepted, timeout_ms: SENT_MS };
                // It is durable, whatever becomes of the waiting.
                let sent = service.wait(mesh, wait).await.unwrap_or(sent);
                Ok(answer(&json!(sent)))
            }
            tools::INBOX => {
                let Check { limit, hook } = parsed(arguments)?;
                if let Some(hook) = hook {
                    return Ok(plain(&self.hook(&service, &hook).await));
                }
                let mut marking = self.marking.lock().await;
                if let Some(marked) = marking.take() {
                    // What is not marked in time is shown again.
                    let _ = tokio::time::timeout(MARKED, marked).await;
                }
                let query = TakeQuery { session: session.clone(), limit: limit.unwrap_or(20), ..Default::default() };
                let taken = service.session_take(own_mesh, query).await?;
                let names = inbox::names(&taken);
                if !names.is_empty() {
                    let written = self.written.of(&context.id);
                    *marking = Some(tokio::spawn(async move {
                        // What was not handed over is not read.
                        if written.await.is_err() {
                            return;
                        }
                        for (mesh, messages) in names {
                            let request = ReadRequest { messages, session: Some(session.clone()) };
                            // What could not be marked is handed over again.
                            let _ = service.mark_read(Some(&mesh), request).await;
                        }
                    }));
                }
                Ok(plain(&inbox::show(&taken)))
            }
            tools::PEERS => {
                let Peers { mesh } = parsed(arguments)?;
                let peers = service.peers(mesh.as_deref().or(own_mesh), false).await?;
                let peer = |peer: &claudemesh_client::api::Peer| {
                    json!({
                        "name": peer.name, "key": peer.member.get(..8), "self": peer.own, "kind": peer.kind,
                        "online": peer.online, "status": peer.status, "summary": peer.summary, "sessions": peer.sessions,
                    })
                };
                Ok(answer(&json!({ "peers": peers.peers.iter().map(peer).collect::<Vec<_>>() })))
            }
            tools::SUMMARY => {
                let Summary { summary, status } = parsed(arguments)?;
                let request = PresenceRequest { status, summary, session: Some(session) };
                service.set_presence(own_mesh, request).await?;
                Ok(plain("done"))
            }
            tools::VERB => {
                let Verb { args } = parsed(arguments)?;
                Ok(match verb::run(own_mesh, args).await? {
                    Ok(value) => answer(&value),
                    Err(error) => CallToolResult::error(vec![ContentBlock::text(text::json(&error))]),
                })
            }
            _ => Err(Error::new(ErrorKind::NotFound, format!("there is no tool {name:?}"))),
        }
    }

    /// What a hook of the host is answered, as the JSON it takes.
    async fn hook(&self, service: &Arc<dyn claudemesh_client::service::Service>, hook: &str) -> String {
        let event = SessionEvent {
            host: claudemesh_client::api::HostRef { id: None, ..environment::parent() },
            event: HostEvent::Tool,
            seen: Vec::new(),
            unguarded: None,
            may_hand: true,
        };
        let told = tokio::time::timeout(HOOK, service.session_event(self.link.mesh(), event)).await;
        let notice = told.ok().and_then(Result::ok).and_then(|answer| answer.notice);
        notice.map_or_else(|| "{}".to_owned(), |notice| hook::handing(hook, &notice).to_string())
    }
}

fn parsed<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, Error> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| Error::new(ErrorKind::Usage, format!("the arguments do not fit: {error}")))
}

fn plain(text: &str) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

/// JSON that may hold what others wrote.
fn answer(value: &Value) -> CallToolResult {
    plain(&text::json(value))
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut experimental = ExperimentalCapabilities::new();
        experimental.insert("claude/channel".into(), JsonObject::new());
        let capabilities = ServerCapabilities::builder().enable_tools().enable_experimental_with(experimental).build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("claudemesh", env!("CARGO_PKG_VERSION")))
            .with_instructions(tools::INSTRUCTIONS)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(REVISIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::offered(self.tools)))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let offered = tools::offered(self.tools).iter().any(|tool| tool.name == request.name);
        // Hooks fetch their notices also where the model has no tools.
        let arguments = request.arguments.unwrap_or_default();
        let of_hook = request.name == tools::INBOX && arguments.contains_key("hook");
        if !offered && !of_hook {
            return Err(ErrorData::invalid_params(format!("there is no tool {:?}", request.name), None));
        }
        let mut result = self.call(&request.name, arguments.clone(), &context).await;
        if let Err(error) = &result
            && self.link.lost(error).await
            && error.kind() == ErrorKind::Unreachable
            && request.name != tools::SEND
        {
            // A daemon of before may have gone; nothing was done.
            result = self.call(&request.name, arguments, &context).await;
        }
        let result = result.unwrap_or_else(|error| {
            let hint = error.hint().map(|hint| format!("\n{hint}")).unwrap_or_default();
            let said = format!("{}: {}{hint}", error.kind().code(), error.message());
            CallToolResult::error(vec![ContentBlock::text(text::json(&Value::String(said)))])
        });
        Ok(result.into())
    }
}
