//! `mesh`: the meshes of this home.

use claudemesh_client::api::MeshInfo;

use super::{Outcome, connection, name_of, short};
use crate::app::App;
use crate::confirm::confirm;
use crate::value::filled;

const LIST_EXAMPLES: &str = "Examples:\n  claudemesh mesh list\n  claudemesh mesh list --json";

const USE_EXAMPLES: &str = "\
Examples:
  claudemesh mesh use team
  claudemesh peers --mesh other     for one command only";

const RENAME_EXAMPLES: &str = "\
Examples:
  claudemesh mesh rename team backend

Owners and admins rename it for everyone, others only here.";

const LEAVE_EXAMPLES: &str = "\
Examples:
  claudemesh mesh leave team
  claudemesh mesh leave team --yes";

const DELETE_EXAMPLES: &str = "\
Examples:
  claudemesh mesh delete team
  claudemesh mesh delete team --yes

Closes the mesh for everyone, for good. Owners only.";

/// Verbs of meshes.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Show the meshes of this home
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Use a mesh when none is named
    #[command(after_help = USE_EXAMPLES)]
    Use {
        /// Label or id
        #[arg(value_parser = filled)]
        label: String,
    },
    /// Rename a mesh
    #[command(after_help = RENAME_EXAMPLES)]
    Rename {
        /// Label or id
        #[arg(value_parser = filled)]
        label: String,
        /// The new label
        #[arg(value_parser = filled)]
        new: String,
    },
    /// Leave a mesh
    #[command(after_help = LEAVE_EXAMPLES)]
    Leave {
        /// Label or id
        #[arg(value_parser = filled)]
        label: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Close a mesh for everyone
    #[command(after_help = DELETE_EXAMPLES)]
    Delete {
        /// Label or id
        #[arg(value_parser = filled)]
        label: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Lists or changes.
pub(crate) async fn run(app: &mut App, verb: Verb) -> Outcome {
    match verb {
        Verb::List => list(app).await,
        Verb::Use { label } => {
            let mesh = app.service().await?.mesh_use(&label).await?;
            app.output.show(&mesh, |page| page.line(&format!("verbs now use {}", mesh.label)))
        }
        Verb::Rename { label, new } => {
            let mesh = app.service().await?.mesh_rename(&label, &new).await?;
            app.output.show(&mesh, |page| page.line(&format!("{label} is now {}", mesh.label)))
        }
        Verb::Leave { label, yes } => {
            confirm(app, yes, &format!("Leave {label}? Only a new invite brings you back."))?;
            let mesh = app.service().await?.mesh_leave(&label).await?;
            app.output.show(&mesh, |page| page.line(&format!("left {}", mesh.label)))
        }
        Verb::Delete { label, yes } => {
            confirm(app, yes, &format!("Close {label} for everyone, for good?"))?;
            let mesh = app.service().await?.mesh_delete(&label).await?;
            app.output.show(&mesh, |page| page.line(&format!("closed {} for everyone", mesh.label)))
        }
    }
}

async fn list(app: &mut App) -> Outcome {
    let meshes = app.service().await?.meshes().await?;
    let rows: Vec<Vec<String>> = meshes.meshes.iter().map(row).collect();
    app.output.show(&meshes, |page| page.table(&["MESH", "ID", "YOU", "ROLE", "MEMBERS", "STATE", "BROKER"], &rows))?;
    if rows.is_empty() {
        app.output
            .note(|page| page.line("no mesh yet: make one with `claudemesh up`, or join one with `claudemesh LINK`"));
    }
    Ok(())
}

fn row(mesh: &MeshInfo) -> Vec<String> {
    let selected = if mesh.selected { " *" } else { "" };
    let state = if mesh.state == "active" { connection(mesh).to_owned() } else { mesh.state.clone() };
    vec![
        format!("{}{selected}", mesh.label),
        short(&mesh.id).into(),
        name_of(&mesh.member.name, &mesh.member.id).into(),
        mesh.role.clone(),
        mesh.members.to_string(),
        state,
        mesh.broker.clone(),
    ]
}
