use claudemesh_client::{ErrorKind, Mesh, api};

use crate::town::{Town, calls, until};

async fn names(mesh: &Mesh) -> Vec<String> {
    mesh.topics().await.unwrap().into_iter().map(|topic| topic.name).collect()
}

const DEV_TEAM: [&str; 4] = ["general", "deploys", "reviews", "standup"];

#[tokio::test(flavor = "multi_thread")]
async fn a_template_gives_a_mesh_what_it_lists_and_the_second_time_nothing() {
    let town = Town::new().await;
    let done = town.owner.apply_template("dev-team").await.unwrap();
    assert_eq!(done.groups, ["dev", "dev/review"]);
    assert_eq!(done.topics, ["deploys", "reviews", "standup"]);
    assert_eq!(done.state, ["on-call", "release/frozen", "release/version", "hints"]);
    assert!(!town.owner.state().get::<bool>("release/frozen").await.unwrap());
    let before = calls(&town.owner).state_list(None, api::StateQuery::default()).await.unwrap();
    let again = town.owner.apply_template("dev-team").await.unwrap();
    assert!(again.complete && again.groups.is_empty() && again.topics.is_empty() && again.state.is_empty());
    let after = calls(&town.owner).state_list(None, api::StateQuery::default()).await.unwrap();
    assert_eq!(before.next, after.next, "nothing was written");
    // Others see the topics and read the hints.
    let bob = town.join("bob").await;
    until(|| names(&bob), |names| *names == DEV_TEAM).await;
    let hints = async || bob.status().await.unwrap().meshes.remove(0).hints;
    let hints = until(hints, Option::is_some).await.unwrap();
    assert!(hints.contains("#deploys"), "{hints}");
    assert_eq!(bob.apply_template("dev-team").await.unwrap_err().kind(), ErrorKind::Refused, "he is no admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_template_is_completed_without_doubles() {
    let town = Town::new().await;
    // It is given up as soon as the second topic is there, if it has not come to its end by then, and with it the home.
    tokio::select! {
        done = town.owner.apply_template("dev-team") => drop(done.unwrap()),
        _ = until(|| names(&town.owner), |names| names.len() > 2) => {}
    }
    town.owner.clone().close().await.unwrap();
    let owner = town.open("ann").await;
    let done = owner.apply_template("dev-team").await.unwrap();
    assert!(done.complete && !done.topics.contains(&"deploys".to_owned()), "{done:?}");
    assert_eq!(names(&owner).await, DEV_TEAM);
    let bob = town.join("bob").await;
    until(|| names(&bob), |names| *names == DEV_TEAM).await;
    let groups = calls(&owner).groups(None, api::GroupQuery::default()).await.unwrap().groups;
    assert_eq!(groups.iter().map(|group| group.members.len()).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_changes_nothing_that_is_there() {
    let town = Town::new().await;
    town.owner.create_topic("deploys").purpose("ours").await.unwrap();
    town.owner.state().set("on-call", "eve").await.unwrap();
    let done = town.owner.apply_template("dev-team").await.unwrap();
    assert_eq!(done.topics, ["reviews", "standup"]);
    assert_eq!(town.owner.state().get::<String>("on-call").await.unwrap(), "eve");
    assert_eq!(names(&town.owner).await, DEV_TEAM);
    let other = town.owner.apply_template("research").await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    let unknown = town.owner.apply_template("dev-taem").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Usage);
    assert!(unknown.hint().unwrap().contains("did you mean dev-team?"));
}
