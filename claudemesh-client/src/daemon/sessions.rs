//! The routes of sessions.

use axum::Router;
use axum::extract::State;
use axum::routing::post;

use super::extract::{Params, Payload};
use super::rooms::{answer, serve};
use super::routes::{App, Reply};
use crate::api;
use crate::local::MeshParams;
use crate::service::session_calls;

session_calls!(serve);
