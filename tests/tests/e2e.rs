//! The product end to end: the real binary, real files, real sockets.

mod e2e {
    mod bad_input;
    mod blind;
    mod contention;
    mod delivery;
    mod disk;
    mod first_contact;
    mod homes;
    mod install;
    mod kills;
    mod launch;
    mod life;
    mod links;
    mod mcp;
    mod membership;
    mod meshes;
    mod outages;
    mod revoked;
    mod rooms;
    mod service;
    mod sessions;
}
