//! Text a person pastes: invite links and addresses.
#![no_main]

use std::str::FromStr;

use claudemesh_core::address::Address;
use claudemesh_core::invite::Link;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(link) = Link::parse(text) {
        let url = link.to_url();
        assert_eq!(Link::parse(&url).map(|again| again.to_url()).ok(), Some(url));
    }
    if let Ok(address) = Address::from_str(text) {
        assert_eq!(Address::from_str(&address.to_string()), Ok(address));
    }
});
