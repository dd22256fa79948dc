//! Roles, and what each may do: one table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody is in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees.
    Viewer,
    /// Also pauses, resumes, notes and tags.
    Assistant,
    /// Also stops, retries, sets priorities and drains.
    Owner,
}

/// A change that somebody may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) enum Action {
    Pause,
    Resume,
    Note,
    Tag,
    Stop,
    Retry,
    Priority,
    Drain,
}

impl Role {
    pub(in crate::serve) fn may(self, action: Action) -> bool {
        match action {
            Action::Pause | Action::Resume | Action::Note | Action::Tag => self != Role::Viewer,
            Action::Stop | Action::Retry | Action::Priority | Action::Drain => self == Role::Owner,
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
    pub const ALL: [Action; 8] = [
        Action::Pause,
        Action::Resume,
        Action::Note,
        Action::Tag,
        Action::Stop,
        Action::Retry,
        Action::Priority,
        Action::Drain,
    ];

    /// As it stands at the end of an address.
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
            ("stop", [false, false, true]),
            ("retry", [false, false, true]),
            ("priority", [false, false, true]),
            ("drain", [false, false, true]),
        ];
        let roles = [Role::Viewer, Role::Assistant, Role::Owner];
        let said = Action::ALL.map(|action| (action.word(), roles.map(|role| role.may(action))));
        assert_eq!(said, table);
    }
}
