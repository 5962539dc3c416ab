use proptest::prelude::*;

use super::super::search::{Query, QueryError, Snippet, posts};
use super::*;

fn town() -> Town {
    let mut town = Town::with_topic(Visibility::Public);
    let texts =
        ["the foo-bar of main() is down", "foo and then bar", "c++ isn't C#", "Zażółć gęślą jaźń", "deployment done"];
    for (n, said) in (1..).zip(texts) {
        town.write(TOPIC, BOB, [text(n, said)]);
    }
    town.write(GENERAL_ROOM, CARL, [text(6, "deploys are frozen, \"frozen\" I say")]);
    town.write(FOREIGN, CARL, [text(7, "deployment elsewhere")]);
    town
}

fn found(town: &Town, query: &str) -> Vec<u8> {
    let query = Query::parse(query).unwrap();
    let mut ids: Vec<u8> =
        posts(&town.db, 1, None, &query, 99).unwrap().iter().map(|hit| hit.post.id.as_bytes()[0]).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn plain_words_just_work() {
    let town = town();
    for (query, expected) in [
        ("foo", &[1, 2][..]),
        ("FOO", &[1, 2]),
        ("foo-bar", &[1]),
        ("main()", &[1]),
        ("main() is", &[1]),
        ("c++", &[3]),
        ("isn't", &[3]),
        ("gesla JAŹŃ", &[4]),
        ("- foo &", &[1, 2]),
        ("down main", &[1]),
        ("text:foo", &[]),
        ("and", &[2]),
        ("fo", &[]),
    ] {
        assert_eq!(found(&town, query), expected, "{query}");
    }
}

#[test]
fn the_language_of_queries() {
    let town = town();
    for (query, expected) in [
        ("\"foo and\"", &[2][..]),
        ("\"and foo\"", &[]),
        ("deploy*", &[5, 6]),
        ("\"then ba\"*", &[2]),
        ("foo OR frozen", &[1, 2, 6]),
        ("foo NOT bar", &[]),
        ("foo NOT then", &[1]),
        ("(foo OR c) NOT (then OR isn't)", &[1]),
        ("foo (down OR then)", &[1, 2]),
        ("foo AND \"then bar\"", &[2]),
        ("foo AND \"then\0bar\"", &[2]),
        ("f*", &[1, 2, 6]),
        ("foo NEAR bar", &[]),
    ] {
        assert_eq!(found(&town, query), expected, "{query}");
    }
}

#[test]
fn what_is_no_query_is_said_so() {
    for (text, error) in [
        ("", QueryError::Empty),
        (" - & ", QueryError::Empty),
        ("\"\"", QueryError::Empty),
        ("()", QueryError::Empty),
        ("\"foo", QueryError::OpenQuote),
        ("(foo", QueryError::OpenParenthesis),
        ("foo)", QueryError::OpenParenthesis),
        (")", QueryError::OpenParenthesis),
        ("AND", QueryError::Operator),
        ("foo OR", QueryError::Operator),
        ("NOT foo", QueryError::Operator),
        ("foo AND OR bar", QueryError::Operator),
        ("(foo OR) bar", QueryError::Operator),
        (&"a ".repeat(33), QueryError::TooLong),
        (&"(".repeat(9), QueryError::TooLong),
    ] {
        assert_eq!(Query::parse(text), Err(error), "{text}");
    }
}

#[test]
fn hits_are_of_the_mesh_and_the_room_asked_for() {
    let town = town();
    let query = Query::parse("deploy*").unwrap();
    let rooms = |mesh, room| -> Vec<i64> {
        posts(&town.db, mesh, room, &query, 99).unwrap().into_iter().map(|hit| hit.post.room).collect()
    };
    assert_eq!(rooms(2, None), [FOREIGN]);
    assert_eq!(rooms(1, Some(GENERAL_ROOM)), [GENERAL_ROOM]);
    assert_eq!(rooms(1, Some(FOREIGN)), [0; 0]);
    assert_eq!(posts(&town.db, 1, None, &query, 1).unwrap().len(), 1);
}

#[test]
fn snippets_mark_what_was_found() {
    let town = town();
    let hit = posts(&town.db, 1, None, &Query::parse("frozen").unwrap(), 9).unwrap().pop().unwrap();
    assert_eq!(hit.log, LogId::of_general(&MESH));
    let marked: Vec<&str> = hit.snippet.found.iter().map(|range| &hit.snippet.text[range.clone()]).collect();
    assert_eq!(marked, ["frozen", "frozen"]);
}

#[test]
fn posts_that_are_not_shown_are_not_found() {
    let mut town = town();
    town.write(TOPIC, BOB, [role(CARL, TopicRole::Observer)]);
    town.write(TOPIC, CARL, [text(8, "foo again")]);
    assert_eq!(found(&town, "again"), [0; 0]);
}

proptest! {
    #[test]
    fn every_query_is_refused_or_can_be_asked(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "foo", "bar*", "\"", "(", ")", " ", "AND", "OR", "NOT", "NEAR", "*", "-", "+", "^", ":", "text", "{", "}", ",",
            "'", "\\", "\0", "é", ";", "--", "\u{2}",
        ]), 0..12),
    ) {
        thread_local!(static TOWN: Town = town());
        if let Ok(query) = Query::parse(&pieces.concat()) {
            TOWN.with(|town| posts(&town.db, 1, None, &query, 9)).unwrap();
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Query::parse(&text);
        let snippet = Snippet::parse(&text);
        prop_assert!(snippet.found.iter().all(|range| snippet.text.get(range.clone()).is_some()));
    }
}
