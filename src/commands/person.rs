//! `overnight serve --add-person NAME`: writes who may act into `overnight.toml`, the rest of which stays as
//! it is, and prints the token, which is kept nowhere.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use anyhow::Context;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::text;
use crate::exit::Exit;
use crate::run_dir::Workspace;
use crate::serve::control::person;
use crate::serve::control::role::Role;
use crate::workspace_settings::WorkspaceSettings;

pub fn add(workspace: &Workspace, name: &str, role: Role) -> anyhow::Result<Exit> {
    // A file that is wrong already is told with its places.
    let settings = WorkspaceSettings::read(workspace)?;
    let path = workspace.settings();
    let old = if path.exists() { fs::read_to_string(&path)? } else { String::new() };
    let token = person::token()?;
    let new = with_person(&old, name, role, &person::token_hash(&token))?;
    WorkspaceSettings::from_text(&path, &new)?;
    let mut file = tempfile::NamedTempFile::new_in(workspace.root())?;
    file.write_all(new.as_bytes())?;
    // The file tells who acts here, and may hold the readers' token.
    file.as_file().set_permissions(Permissions::from_mode(0o600))?;
    file.as_file().sync_all()?;
    file.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
    text::talk(format_args!("{name} is {} now; the token is printed this once:", role.word()));
    text::result(&token)?;
    if !settings.server.control {
        text::talk("people act only where overnight.toml says control = true below [server]");
    }
    Ok(Exit::Success)
}

fn with_person(text: &str, name: &str, role: Role, token_hash: &str) -> anyhow::Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let server = document.entry("server").or_insert(Item::Table(Table::new()));
    let server = server.as_table_mut().context("[server] of overnight.toml is not a section")?;
    let people = server.entry("people").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let people = people.as_array_of_tables_mut().context("people is not written as [[server.people]]")?;
    let mut person = Table::new();
    person["name"] = value(name);
    person["role"] = value(role.word());
    person["token_hash"] = value(token_hash);
    people.push(person);
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_added_and_the_rest_of_the_file_stays() {
        let [hash, other, third] = ["x", "y", "z"].map(person::token_hash);
        let old = "# mine\n[server]   # here\nport = 1\n\n[runner]\nslots = 2\n";
        let one = with_person(old, "ada", Role::Owner, &hash).unwrap();
        let two = with_person(&one, "bob", Role::Viewer, &other).unwrap();
        let settings = WorkspaceSettings::from_text("overnight.toml".as_ref(), &two).unwrap();
        let names: Vec<_> =
            settings.server.people.iter().map(|person| (&*person.name, person.role)).collect();
        assert_eq!(names, [("ada", Role::Owner), ("bob", Role::Viewer)]);
        for line in old.lines() {
            assert!(two.contains(line), "{line}: {two}");
        }
        assert!(!settings.server.control && settings.runner.slots == 2);
        let twice = with_person(&two, "ada", Role::Viewer, &third).unwrap();
        assert!(WorkspaceSettings::from_text("overnight.toml".as_ref(), &twice).is_err());
        assert!(with_person("", "ada", Role::Viewer, &hash).unwrap().contains("[[server.people]]"));
    }
}
