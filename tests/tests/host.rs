//! Inside the real Claude Code. `cargo xtask host-test` fetches it and runs these.

mod host {
    mod delivery;
    mod install;
    mod sdk;
}
