//! Roles, and what each may do: one table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody is in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees, and downloads logs.
    Viewer,
    /// Also queues, pauses, resumes, notes and tags.
    Assistant,
    /// Also stops, retries, sets priorities, drains, deletes and downloads checkpoints.
    Owner,
}

/// What somebody may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) enum Action {
    Pause,
    Resume,
    Note,
    Tag,
    Queue,
    Stop,
    Retry,
    Priority,
    Drain,
    Clean,
    Checkpoints,
    Log,
}

impl Role {
    pub(in crate::serve) fn may(self, action: Action) -> bool {
        match action {
            Action::Log => true,
            Action::Pause | Action::Resume | Action::Note | Action::Tag | Action::Queue => {
                self != Role::Viewer
            }
            Action::Stop
            | Action::Retry
            | Action::Priority
            | Action::Drain
            | Action::Clean
            | Action::Checkpoints => self == Role::Owner,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Assistant => "assistant",
            Role::Owner => "owner",
        }
    }
}

impl Action {
    pub const ALL: [Action; 12] = [
        Action::Pause,
        Action::Resume,
        Action::Note,
        Action::Tag,
        Action::Queue,
        Action::Stop,
        Action::Retry,
        Action::Priority,
        Action::Drain,
        Action::Clean,
        Action::Checkpoints,
        Action::Log,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Action::Pause => "pause",
            Action::Resume => "resume",
            Action::Note => "note",
            Action::Tag => "tag",
            Action::Stop => "stop",
            Action::Retry => "retry",
            Action::Priority => "priority",
            Action::Drain => "drain",
            Action::Queue => "queue",
            Action::Clean => "clean",
            Action::Checkpoints => "checkpoints",
            Action::Log => "log",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_table_says_and_no_more() {
        let table = [
            ("pause", [false, true, true]),
            ("resume", [false, true, true]),
            ("note", [false, true, true]),
            ("tag", [false, true, true]),
            ("queue", [false, true, true]),
            ("stop", [false, false, true]),
            ("retry", [false, false, true]),
            ("priority", [false, false, true]),
            ("drain", [false, false, true]),
            ("clean", [false, false, true]),
            ("checkpoints", [false, false, true]),
            ("log", [true, true, true]),
        ];
        let roles = [Role::Viewer, Role::Assistant, Role::Owner];
        let said = Action::ALL.map(|action| (action.word(), roles.map(|role| role.may(action))));
        assert_eq!(said, table);
    }
}
