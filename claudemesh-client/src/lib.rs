//! The claudemesh SDK: end-to-end encrypted messages between AI coding sessions, services, scripts and people.
//!
//! [`Mesh`] is the handle. It speaks to the home's daemon when one runs, and otherwise carries the whole client
//! itself; programs do not see the difference.
//!
//! ```
//! use claudemesh_client::api::Priority;
//! use claudemesh_client::{Event, Mesh, Receipt};
//!
//! # #[cfg(feature = "testing")]
//! # async fn example() -> Result<(), claudemesh_client::Error> {
//! # let far_end = claudemesh_client::testing::Fake::new("team", "alice");
//! # far_end.add_member("bob");
//! # far_end.confirm_sends(claudemesh_client::api::State::Delivered);
//! # let mesh = Mesh::from_service(far_end.service(), None).await?;
//! # if false {
//! let mesh = Mesh::builder().home("~/.claudemesh").open().await?;
//! # }
//! let sent = mesh.send("bob", "build is green").priority(Priority::Now).await?;
//! sent.wait(Receipt::Delivered).await?;
//!
//! let mut events = mesh.events_from("bot").await?;
//! # far_end.receive("bob", "well done");
//! # let id = sent.id().to_owned();
//! while let Some(delivered) = events.next().await {
//!     let delivered = delivered?;
//!     if let Event::Message(message) = &delivered.event {
//!         println!("{}: {}", message.from.name, message.body);
//!         message.reply("thanks").await?;
//! #       delivered.ack().await?;
//! #       break;
//!     }
//!     delivered.ack().await?;
//! }
//! # assert_eq!(far_end.sent_texts(), ["build is green", "thanks"]);
//! # Ok(())
//! # }
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! Features: `daemon` adds the local daemon, `testing` a backend in memory. Linux and macOS are supported; Windows is
//! not yet.
#![warn(missing_docs)]

#[cfg(not(unix))]
compile_error!("claudemesh runs on Linux and macOS; Windows is not supported yet");

mod address;
pub mod api;
mod attach;
#[cfg(feature = "daemon")]
pub mod daemon;
mod error;
mod home;
mod local;
mod mesh;
pub mod node;
mod rooms;
pub mod service;
mod sessions;
mod store;
mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

/// The session that stands for a whole member until a host says better.
pub const DEFAULT_SESSION: &str = "main";

pub use attach::Attached;
pub use claudemesh_core::{DeviceId, MemberId, MeshId, MessageId};
pub use error::{Error, ErrorKind};
pub use home::{Holder, Home, HomeLock};
pub use local::{LOCAL_API, Version};
pub use mesh::{
    Changes, ClaimTask, ClaimedTask, CreateTask, CreateTopic, DeleteState, Delivered, Event, Events, Groups,
    InboxRequest, JoinGroup, LeaveGroup, ListNotifications, ListTasks, MemoryBuilder, Mesh, MeshBuilder, Notifications,
    ReadPosts, RecallMemories, Receipt, Received, RememberText, SearchPosts, SendMessage, SentMessage, SetState,
    SharedMemory, SharedState, Tail, TailPosts, Tasks, To, Topic, WaitFor, WatchState, WritePost,
};
pub use sessions::notices_in;
pub use template::templates;

/// The README's example is compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
