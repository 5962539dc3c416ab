//! A model on loopback: the Messages API with an answer for every request, one step of the script after the other.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::e2e::PATIENCE;

/// What the model says next.
#[derive(Clone, Debug)]
pub enum Step {
    /// A text; the turn ends.
    Text(&'static str),
    /// It uses a tool.
    Tool(&'static str, Value),
}

#[derive(Debug, Default)]
struct State {
    steps: VecDeque<Step>,
    requests: Vec<Value>,
    /// Requests that were waited for.
    looked: usize,
    uses: u64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The model. Requests without tools are the host's own and get a word; all others follow the script.
#[derive(Debug)]
pub struct Api {
    shared: Arc<Shared>,
    url: String,
}

impl Default for Api {
    fn default() -> Self {
        Self::start()
    }
}

impl Api {
    /// Starts it.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                // A host that hangs up is no failure of the model.
                std::thread::spawn(move || drop(serve(&stream, &state)));
            }
        });
        Self { shared, url }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it says next; after that it says `ok`.
    pub fn say(&self, steps: &[Step]) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.steps.extend(steps.iter().cloned());
    }

    /// Waits for the next request whose new messages hold all of these texts; the messages as text.
    ///
    /// # Panics
    /// None comes.
    pub fn expects(&self, texts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            while state.looked < state.requests.len() {
                state.looked += 1;
                let asked = state.requests[state.looked - 1]["messages"].to_string();
                if texts.iter().all(|text| asked.contains(text)) {
                    return asked;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no request with {texts:?}; the last: {:?}", state.requests.last());
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// All requests so far, as text.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.iter().map(ToString::to_string).collect()
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let (kind, answer) = match path {
        "/v1/messages" => {
            let step = next(shared, &request);
            if request["stream"] == true {
                ("text/event-stream", stream_of(&step))
            } else {
                ("application/json", whole(&step))
            }
        }
        "/v1/messages/count_tokens" => ("application/json", json!({"input_tokens": 10}).to_string()),
        _ => ("application/json", "{}".to_owned()),
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

/// What is said, with the id of a use of a tool.
struct Said(Step, String);

fn next(shared: &Shared, request: &Value) -> Said {
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    let scripted = request["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    let step = if scripted { state.steps.pop_front() } else { None };
    if scripted {
        state.requests.push(request.clone());
        shared.changed.notify_all();
    }
    state.uses += 1;
    Said(step.unwrap_or(Step::Text("ok")), format!("toolu_{:06}", state.uses))
}

fn message(content: Value, reason: Value) -> Value {
    json!({
        "id": "msg_fake", "type": "message", "role": "assistant", "model": "claude-fake", "content": content,
        "stop_reason": reason, "stop_sequence": null,
        "usage": {"input_tokens": 10, "output_tokens": 10}
    })
}

fn whole(Said(step, id): &Said) -> String {
    match step {
        Step::Text(text) => message(json!([{"type": "text", "text": text}]), json!("end_turn")),
        Step::Tool(name, input) => {
            message(json!([{"type": "tool_use", "id": id, "name": name, "input": input}]), json!("tool_use"))
        }
    }
    .to_string()
}

fn stream_of(Said(step, id): &Said) -> String {
    let (block, delta, reason) = match step {
        Step::Text(text) => {
            (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": text}), "end_turn")
        }
        Step::Tool(name, input) => (
            json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
            json!({"type": "input_json_delta", "partial_json": input.to_string()}),
            "tool_use",
        ),
    };
    let events = [
        json!({"type": "message_start", "message": message(json!([]), Value::Null)}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 10}}),
        json!({"type": "message_stop"}),
    ];
    let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    events.iter().map(event).collect()
}
