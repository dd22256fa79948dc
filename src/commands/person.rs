//! `overnight serve --add-person NAME`: writes who may act into `overnight.toml`, the rest of which stays as
//! it is, and prints the token, which is kept nowhere.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use anyhow::Context;
use toml_edit::{DocumentMut, Item, Value};

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
    anyhow::ensure!(
        settings.server.people.iter().all(|person| person.name != name),
        "{name} stands already in {} (take that [[server.people]] away for another role or a new token)",
        path.display()
    );
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
        text::talk(format_args!("people act only once {}: {}", path.display(), way_to_control(&new)));
    }
    Ok(Exit::Success)
}

/// The person at the end of the file, whatever stands above: a section that is taken in later stands before it.
fn with_person(text: &str, name: &str, role: Role, token_hash: &str) -> anyhow::Result<String> {
    let document: DocumentMut = text.parse()?;
    let people = document.get("server").map(|server| {
        let server = server.as_table().context("server of overnight.toml is not written as [server]")?;
        let is_list = server.get("people").is_none_or(Item::is_array_of_tables);
        anyhow::ensure!(is_list, "people of overnight.toml are not written as [[server.people]]");
        Ok(())
    });
    people.transpose()?;
    let end = match text {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let (name, role, token_hash) = (Value::from(name), Value::from(role.word()), Value::from(token_hash));
    Ok(format!("{text}{end}[[server.people]]\nname = {name}\nrole = {role}\ntoken_hash = {token_hash}\n"))
}

/// What to write, and at which line, so that people may act.
fn way_to_control(text: &str) -> String {
    let line_of = |from: usize, is_it: &dyn Fn(&str) -> bool| {
        let mut lines = text.lines().enumerate().skip(from);
        lines.find(|(_, line)| is_it(line.trim())).map(|(place, _)| place)
    };
    let header = |line: &str| line.split(']').next() == Some("[server");
    let hidden_header = |line: &str| line.strip_prefix('#').is_some_and(|line| header(line.trim_start()));
    let setting = |line: &str| {
        let line = line.trim_start_matches('#').trim_start();
        line.strip_prefix("control").is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let is_next = |line: &str| line.trim_start_matches(['#', ' ']).starts_with('[');
    // Of the section alone, not of one behind it.
    let control_below = |at: usize| {
        let end = line_of(at + 1, &is_next).unwrap_or(usize::MAX);
        line_of(at + 1, &setting).filter(|line| *line < end)
    };
    let number = |line: usize| line + 1;
    match (line_of(0, &header), line_of(0, &hidden_header)) {
        (Some(at), _) => match control_below(at) {
            Some(line) => format!("line {} is control = true", number(line)),
            None => format!("control = true stands below [server], line {}", number(at)),
        },
        (None, Some(at)) => match control_below(at) {
            Some(line) => {
                format!(
                    "line {} is [server] and line {} is control = true, both without #",
                    number(at),
                    number(line)
                )
            }
            None => format!("line {} is [server], without #, and the next one control = true", number(at)),
        },
        (None, None) => {
            let people = line_of(0, &|line| line.starts_with("[[server.people]]")).unwrap_or(0);
            format!("above line {} stand two more, [server] and control = true", number(people))
        }
    }
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

    fn read(text: &str) -> WorkspaceSettings {
        let read = WorkspaceSettings::from_text("overnight.toml".as_ref(), text);
        read.map_err(|rejected| format!("{rejected}\n{text}")).unwrap()
    }

    #[test]
    fn what_is_said_of_control_is_the_way_to_it() {
        let hash = person::token_hash("x");
        // What stands at the named line is replaced, or comes below or above it.
        let obeyed = |text: &str| {
            let way = way_to_control(text);
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let numbers: Vec<usize> = way
                .split(|letter: char| !letter.is_ascii_digit())
                .filter_map(|number| number.parse::<usize>().ok())
                .map(|number| number - 1)
                .collect();
            let on = "control = true".to_owned();
            match numbers.as_slice() {
                [at] if way.starts_with("above") => drop(lines.splice(*at..*at, ["[server]".to_owned(), on])),
                [at] if way.contains("below [server]") => lines.insert(at + 1, on),
                [at] if way.contains("without #") => {
                    lines[*at] = "[server]".into();
                    lines[at + 1] = on;
                }
                [at] => lines[*at] = on,
                [at, control] => {
                    lines[*at] = "[server]".into();
                    lines[*control] = on;
                }
                _ => panic!("{way}"),
            }
            lines.join("\n")
        };
        let template = crate::workspace_settings::template::template();
        for old in [
            "",
            &template,
            "[server]\nport = 1\n[runner]\nslots = 2",
            "[server] # here\n control=false\n",
            "[runner]\nslots = 2\n",
            "# [server]\n#control = false\n",
            "# [server]\n# port = 0\n[runner]\nslots = 2\n",
        ] {
            let one = with_person(old, "ada", Role::Owner, &hash).unwrap();
            let two = with_person(&one, "bob", Role::Viewer, &person::token_hash("y")).unwrap();
            assert!(one.starts_with(old) && two.starts_with(&one), "{two}");
            assert!(!read(&two).server.control);
            let on = read(&obeyed(&two)).server;
            assert!(on.control && on.people.len() == 2, "{}: {}", way_to_control(&two), obeyed(&two));
        }
    }

    #[test]
    fn what_stands_above_people_may_be_taken_in_later_and_so_may_what_stands_below() {
        let hash = person::token_hash("x");
        let template = crate::workspace_settings::template::template();
        let with = with_person(&template, "ada", Role::Owner, &hash).unwrap();
        let on = with.replace("# [server]", "[server]").replace("# control = false", "control = true");
        assert!(read(&on).server.control && read(&on).server.people.len() == 1);
        let below = with_person("", "ada", Role::Owner, &hash).unwrap() + "[server]\ncontrol = true\n";
        assert!(read(&below).server.control && read(&below).server.people.len() == 1);
    }
}
