//! Vectors of invites and safety numbers.

use claudemesh_core::invite::{Link, LinkSecret, WelcomeBundle};
use claudemesh_core::safety::safety_number;
use claudemesh_core::testing::SeededRng;
use claudemesh_core::{MemberId, MeshId, SigningKey, codec::encode, seal};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{WEAK, array, code, hex, invite_id, stored, swapped, unhex};

fn link_json(name: &str, secret: &[u8; 32], address: &str) -> Value {
    let broker = SigningKey::from_seed(&[0x22; 32]);
    let mesh = MeshId::from_bytes([0x11; 32]);
    let link = Link::new(mesh, broker.public(), LinkSecret::from_bytes(*secret), address).unwrap();
    let text = link.to_url();
    let payload = BASE64URL_NOPAD.decode(text.split_once('#').unwrap().1.as_bytes()).unwrap();
    json!({
        "type": "link", "name": name, "secret": hex(secret), "mesh": mesh.to_string(), "address": address,
        "broker_key": hex(broker.public().as_bytes()), "bytes": hex(payload), "link": text,
        "invite_seed": hex(*link.secret().invite_key().seed()),
        "invite_key": hex(link.secret().invite_key().public().as_bytes()),
        "invite_id": invite_id(&link.secret().invite_key()).to_string(),
        "welcome_key": hex(*link.secret().welcome_key()),
    })
}

fn welcome_json(name: &str, secret: &[u8; 32], bundle: &WelcomeBundle, rng: &mut SeededRng) -> Value {
    let secret = LinkSecret::from_bytes(*secret);
    let sealed = bundle.seal(&secret, rng).unwrap();
    let names: Vec<Value> = bundle.names.iter().map(|(id, name)| json!([id.to_string(), name])).collect();
    json!({
        "type": "welcome", "name": name, "secret": hex(secret.as_bytes()), "bytes": hex(&sealed),
        "plaintext": hex(encode(bundle)),
        "welcome": {
            "label": bundle.label, "inviter": bundle.inviter.to_string(), "names": names, "brokers": bundle.brokers,
            "hint": bundle.hint,
        },
    })
}

fn invalid_links(link: &str) -> Vec<Value> {
    let (base, payload) = link.split_once('#').unwrap();
    let bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
    let with = |bytes: &[u8]| format!("{base}#{}", BASE64URL_NOPAD.encode(bytes));
    let key = SigningKey::from_seed(&[0x22; 32]).public();
    let long = format!("{base}#{}", "A".repeat(2048));
    [
        ("no link", "hello".to_owned()),
        ("another path", link.replace("/i#", "/j#")),
        ("a socket address", link.replace("https://", "wss://")),
        ("a user before the host", link.replace("https://", "https://user@")),
        ("no host", format!("https:///i#{payload}")),
        ("port 0", format!("https://broker.example:0/i#{payload}")),
        ("too long", long),
        ("no payload", format!("{base}#")),
        ("cut short", link[..link.len() - 3].to_owned()),
        ("padded", format!("{link}=")),
        ("standard alphabet", format!("{base}#+/{payload}")),
        ("bytes after the payload", with(&[&bytes[..], &[0]].concat())),
        ("weak broker key", with(&swapped(&bytes, key.as_bytes(), &WEAK))),
        ("only a version", with(&[0xa1, 0, 1])),
        ("version twice", with(&[0xa2, 0, 2, 0, 2])),
        ("version 2", with(&swapped(&bytes, &[0xa4, 0, 1], &[0xa4, 0, 2]))),
        ("version 2 of another shape", with(&[0xa2, 0, 2, 1, 0x61, b'x'])),
    ]
    .map(|(name, link)| {
        let error = code(Link::parse(&link).map(drop).expect_err(name));
        json!({ "type": "link", "name": name, "link": link, "error": error })
    })
    .into()
}

fn invalid_welcomes(secret: &[u8; 32], sealed: &[u8], rng: &mut SeededRng) -> Vec<Value> {
    let (key, aad) = {
        let secret = LinkSecret::from_bytes(*secret);
        (secret.welcome_key(), *secret.invite_key().public().as_bytes())
    };
    let mut flipped = sealed.to_vec();
    flipped[30] ^= 1;
    let plaintext = seal::open(&key, &aad, sealed).unwrap();
    [
        ("empty", vec![]),
        ("cut short", sealed[..sealed.len() - 1].to_vec()),
        ("a flipped bit", flipped),
        ("sealed for another invite", seal::seal(&key, &[1; 32], &plaintext, rng)),
        ("a plaintext of another form", seal::seal(&key, &aad, &[0xa0], rng)),
        ("bytes after the plaintext", seal::seal(&key, &aad, &[&plaintext[..], &[0]].concat(), rng)),
    ]
    .map(|(name, bytes)| {
        let error = code(WelcomeBundle::open(&LinkSecret::from_bytes(*secret), &bytes).map(drop).expect_err(name));
        json!({ "type": "welcome", "name": name, "secret": hex(secret), "bytes": hex(bytes), "error": error })
    })
    .into()
}

fn safety_json(name: &str, mesh: u8, a: u8, b: u8) -> Value {
    let (mesh, a, b) = (MeshId::from_bytes([mesh; 32]), MemberId::from_bytes([a; 32]), MemberId::from_bytes([b; 32]));
    json!({
        "type": "safety", "name": name, "mesh": mesh.to_string(), "a": a.to_string(), "b": b.to_string(),
        "number": safety_number(&mesh, &a, &b).to_string(),
    })
}

#[test]
fn invite() {
    let rng = &mut SeededRng::new(7);
    let secret = [0x5a; 32];
    let inviter = MemberId::from_bytes([0x33; 32]);
    let full = WelcomeBundle {
        label: "werkstatt-ä".to_owned(),
        inviter,
        names: vec![(inviter, "alice".to_owned()), (MemberId::from_bytes([0x44; 32]), "böb".to_owned())],
        brokers: vec!["wss://broker.example".to_owned(), "ws://127.0.0.1:8787".to_owned()],
        hint: Some("carol".to_owned()),
    };
    let least = WelcomeBundle { label: String::new(), inviter, names: Vec::new(), brokers: Vec::new(), hint: None };
    let full_json = welcome_json("a full welcome", &secret, &full, rng);
    let link = link_json("a secure broker", &secret, "wss://broker.example");
    let mut invalid = invalid_links(link["link"].as_str().unwrap());
    invalid.extend(invalid_welcomes(&secret, &unhex(&full_json["bytes"]), rng));
    let valid = vec![
        link,
        link_json("a broker on this machine", &[0xc3; 32], "ws://127.0.0.1:8787"),
        link_json("an IPv6 host", &[0; 32], "wss://[2001:db8::1]:443"),
        full_json,
        welcome_json("the least welcome", &[0xc3; 32], &least, rng),
        safety_json("two members", 0x11, 0x33, 0x44),
        safety_json("the same in the other order", 0x11, 0x44, 0x33),
        safety_json("in another mesh", 0x12, 0x33, 0x44),
    ];
    let description = "Invites (protocol section 3) and safety numbers (section 2). valid, type link: `bytes` is the payload of \
        `link`; the keys derive from `secret`. Type welcome: `bytes` is `plaintext` sealed under the welcome key of `secret` \
        with the nonce it begins with. Type safety: `number` of the members `a` and `b` in `mesh`. invalid: reading `link`, or \
        opening `bytes` with `secret`, fails with `error`.";
    let vectors = stored("invite.json", json!({ "description": description, "valid": valid, "invalid": invalid }));

    for case in vectors["valid"].as_array().unwrap() {
        match case["type"].as_str().unwrap() {
            "link" => {
                let link = Link::parse(case["link"].as_str().unwrap()).unwrap();
                assert_eq!(link.to_url(), case["link"]);
                assert_eq!(link.mesh().to_string(), case["mesh"]);
                assert_eq!(link.address(), case["address"]);
                assert_eq!(link.broker_key().as_bytes(), &array(&case["broker_key"]));
                assert_eq!(link.secret().as_bytes(), &array(&case["secret"]));
                let key = link.secret().invite_key();
                assert_eq!(*key.seed(), array(&case["invite_seed"]));
                assert_eq!(key.public().as_bytes(), &array(&case["invite_key"]));
                assert_eq!(invite_id(&key).to_string(), case["invite_id"]);
                assert_eq!(*link.secret().welcome_key(), array(&case["welcome_key"]));
            }
            "welcome" => {
                let secret = LinkSecret::from_bytes(array(&case["secret"]));
                let bundle = WelcomeBundle::open(&secret, &unhex(&case["bytes"])).unwrap();
                assert_eq!(hex(encode(&bundle)), case["plaintext"]);
                assert_eq!(bundle.label, case["welcome"]["label"]);
                assert_eq!(bundle.names.len(), case["welcome"]["names"].as_array().unwrap().len());
            }
            _ => {
                let id = |key: &str| array(&case[key]);
                let (a, b) = (MemberId::from_bytes(id("a")), MemberId::from_bytes(id("b")));
                assert_eq!(safety_number(&MeshId::from_bytes(id("mesh")), &a, &b).to_string(), case["number"]);
            }
        }
    }
    for case in vectors["invalid"].as_array().unwrap() {
        let error = if case["type"] == "link" {
            code(Link::parse(case["link"].as_str().unwrap()).unwrap_err())
        } else {
            let secret = LinkSecret::from_bytes(array(&case["secret"]));
            code(WelcomeBundle::open(&secret, &unhex(&case["bytes"])).unwrap_err())
        };
        assert_eq!(error, case["error"], "{}", case["name"]);
    }
}
