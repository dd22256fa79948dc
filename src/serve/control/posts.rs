//! Every POST there is, in one table: requests are read by it and `openapi.json` is written by it.

use super::act::{self, Clean, Note, Nothing, Priority, Queue, Retry, SignIn, Tag};
use super::role::Action;
use super::session::Me;
use crate::serve::api::route::{Described, names};

/// One POST.
pub(in crate::serve) struct Post {
    /// With a name in braces for each part that the request chooses.
    pub path: &'static str,
    /// Unlike that of any other, for programs that are generated.
    pub name: &'static str,
    pub summary: &'static str,
    pub asks: Asks,
    pub body: Described,
    pub content: Described,
    /// What may be answered beside what every POST may be answered with.
    pub refusals: &'static [u16],
}

/// What a POST asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) enum Asks {
    SignIn,
    SignOut,
    /// A change, which needs a person, a role and a key.
    Change(Action),
}

pub(in crate::serve) const POSTS: &[Post] = &[
    Post {
        path: "/api/v1/session",
        name: "signIn",
        summary: "Begins a session for a page: a cookie, and a word in Overnight-Page that goes with each change; \
                  programs send the token as a bearer.",
        asks: Asks::SignIn,
        body: |schemas| schemas.subschema_for::<SignIn>(),
        content: |schemas| schemas.subschema_for::<Me>(),
        refusals: &[],
    },
    Post {
        path: "/api/v1/session/end",
        name: "signOut",
        summary: "Ends it, and takes the cookie away.",
        asks: Asks::SignOut,
        body: |schemas| schemas.subschema_for::<Nothing>(),
        content: |schemas| schemas.subschema_for::<Me>(),
        refusals: &[],
    },
    Post {
        path: "/api/v1/queue",
        name: "queueExperiment",
        summary: "Checks an experiment file and queues its runs, or only says what they would be.",
        asks: Asks::Change(Action::Queue),
        body: |schemas| schemas.subschema_for::<Queue>(),
        content: |schemas| schemas.subschema_for::<act::Queued>(),
        refusals: &[],
    },
    Post {
        path: "/api/v1/queue/drain",
        name: "drainQueue",
        summary: "Lets the runner end after its current runs.",
        asks: Asks::Change(Action::Drain),
        body: |schemas| schemas.subschema_for::<Nothing>(),
        content: |schemas| schemas.subschema_for::<act::Drained>(),
        refusals: &[],
    },
    Post {
        path: "/api/v1/clean",
        name: "deleteRuns",
        summary: "Says what these runs take on the disk and whether they can go; deletes them where that is \
                  confirmed.",
        asks: Asks::Change(Action::Clean),
        body: |schemas| schemas.subschema_for::<Clean>(),
        content: |schemas| schemas.subschema_for::<act::Cleaned>(),
        refusals: &[404],
    },
    of_run(
        "/api/v1/runs/{experiment}/{run}/pause",
        "pauseRun",
        "Lets the run write a checkpoint and wait until it is resumed.",
        Action::Pause,
        |schemas| schemas.subschema_for::<Nothing>(),
    ),
    of_run(
        "/api/v1/runs/{experiment}/{run}/resume",
        "resumeRun",
        "Lets a paused or stopped run wait for its turn again.",
        Action::Resume,
        |schemas| schemas.subschema_for::<Nothing>(),
    ),
    of_run(
        "/api/v1/runs/{experiment}/{run}/stop",
        "stopRun",
        "Ends the run with a checkpoint; it does not go on by itself.",
        Action::Stop,
        |schemas| schemas.subschema_for::<Nothing>(),
    ),
    of_run(
        "/api/v1/runs/{experiment}/{run}/retry",
        "retryRun",
        "Starts a run that ended badly again, from its last checkpoint or from the one of a step.",
        Action::Retry,
        |schemas| schemas.subschema_for::<Retry>(),
    ),
    of_run(
        "/api/v1/runs/{experiment}/{run}/priority",
        "setPriority",
        "Says which runs start first: those with the greater number.",
        Action::Priority,
        |schemas| schemas.subschema_for::<Priority>(),
    ),
    of_run(
        "/api/v1/runs/{experiment}/{run}/note",
        "noteRun",
        "Adds a note; an empty one takes away those that were added before.",
        Action::Note,
        |schemas| schemas.subschema_for::<Note>(),
    ),
    of_run(
        "/api/v1/runs/{experiment}/{run}/tag",
        "tagRun",
        "Adds a tag, or takes one away.",
        Action::Tag,
        |schemas| schemas.subschema_for::<Tag>(),
    ),
];

const fn of_run(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    action: Action,
    body: Described,
) -> Post {
    let content: Described = |schemas| schemas.subschema_for::<act::Asked>();
    Post { path, name, summary, asks: Asks::Change(action), body, content, refusals: &[404] }
}

/// The POST of a path that is still percent-encoded, and the names in it.
pub(in crate::serve) fn find(path: &str) -> Option<(&'static Post, Vec<String>)> {
    POSTS.iter().find_map(|post| Some((post, names(post.path, path)?)))
}
