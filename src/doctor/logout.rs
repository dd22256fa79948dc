//! Whether what is started in a login session lives on when that session ends: `run --detach` leaves the
//! terminal, not the control group that logind ends. Read from the files of systemd (`logind.conf(5)`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Finding, State, good, lacking};

/// What logind does with a user's processes at the end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logout {
    /// The user this is about, where that has a name.
    pub user: Option<String>,
    /// The file that says so; none where the programs' own default holds.
    pub ends_processes: Ends,
    /// Whether the user's own manager, with services and scopes under it, lives on (`enable-linger`).
    pub lingers: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ends {
    /// No systemd is at work here.
    NoSystemd,
    Never,
    /// As that file says.
    Always(PathBuf),
}

/// Folders with settings; what stands in an earlier one hides a file of the same name in a later one.
const FOLDERS: [&str; 4] = ["etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd"];

/// Looks at the machine whose files lie under `root` for the user of that number.
pub fn observe(root: &Path, user: u32) -> Logout {
    let name = user_name(root, user);
    let lingers = name.as_ref().is_some_and(|name| root.join("var/lib/systemd/linger").join(name).exists());
    let ends_processes = if root.join("run/systemd/system").is_dir() {
        Settings::read(root).ends(name.as_deref())
    } else {
        Ends::NoSystemd
    };
    Logout { user: name, ends_processes, lingers }
}

/// What there is to say about it.
pub fn finding(logout: &Logout) -> Finding {
    let Ends::Always(file) = &logout.ends_processes else {
        return good("logout", "leaves what runs detached alone".to_owned());
    };
    let says = format!(
        "ends what was started in the session, also detached (KillUserProcesses=yes in {})",
        file.display()
    );
    let start = "start it outside of the session: systemd-run --user --scope overnight run --detach (or, for \
                 good, overnight init --systemd)";
    let way_out = match (&logout.user, logout.lingers) {
        (_, true) => start.to_owned(),
        (Some(user), false) => format!("loginctl enable-linger {user}, then {start}"),
        (None, false) => format!("loginctl enable-linger, then {start}"),
    };
    lacking("logout", State::Note, says, &way_out)
}

/// What to say to who starts something now that is to outlive this session, where it will not. `root` is
/// the folder of the machine's files.
pub fn warning(root: &Path, user: u32) -> Option<String> {
    // One that a service or a scope of the user's manager holds is not the session's to end.
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let is_in_session = groups.lines().any(|line| line.contains("/session-") && line.ends_with(".scope"));
    let Finding { says, way_out, .. } = finding(&observe(root, user));
    way_out.filter(|_| is_in_session).map(|way_out| format!("logging out {says}; {way_out}"))
}

/// Those settings of `logind.conf` that count here.
#[derive(Default)]
struct Settings {
    kill: Option<(bool, PathBuf)>,
    only: Vec<String>,
    exclude: Option<Vec<String>>,
}

impl Settings {
    /// The main file, then all that amends it, in the order of their names.
    fn read(root: &Path) -> Settings {
        let mut settings = Settings::default();
        let main = FOLDERS.map(|folder| root.join(folder).join("logind.conf"));
        if let Some(main) = main.iter().find(|path| path.is_file()) {
            settings.take(main, root, Comments::AreDefaults);
            settings.take(main, root, Comments::AreNothing);
        }
        let mut amending: BTreeMap<_, PathBuf> = BTreeMap::new();
        for folder in FOLDERS.iter().rev() {
            let entries =
                fs::read_dir(root.join(folder).join("logind.conf.d")).into_iter().flatten().flatten();
            let files = entries.filter(|entry| entry.file_name().as_encoded_bytes().ends_with(b".conf"));
            amending.extend(files.map(|entry| (entry.file_name(), entry.path())));
        }
        for path in amending.values() {
            settings.take(path, root, Comments::AreNothing);
        }
        settings
    }

    fn take(&mut self, path: &Path, root: &Path, comments: Comments) {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut is_ours = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                is_ours = line == "[Login]";
                continue;
            }
            let line = match comments {
                Comments::AreDefaults => line.strip_prefix('#'),
                Comments::AreNothing => Some(line).filter(|line| !line.starts_with(['#', ';'])),
            };
            let Some((key, value)) = line.and_then(|line| line.split_once('=')) else { continue };
            let names = || value.split_whitespace().map(str::to_owned);
            match key.trim() {
                _ if !is_ours => {}
                "KillUserProcesses" => {
                    let shown = Path::new("/").join(path.strip_prefix(root).unwrap_or(path));
                    self.kill = truth(value.trim()).map(|kill| (kill, shown)).or(self.kill.take());
                }
                // An empty one takes back what was said before.
                "KillOnlyUsers" if value.trim().is_empty() => self.only.clear(),
                "KillOnlyUsers" => self.only.extend(names()),
                "KillExcludeUsers" if value.trim().is_empty() => self.exclude = Some(Vec::new()),
                "KillExcludeUsers" => self.exclude.get_or_insert_default().extend(names()),
                _ => {}
            }
        }
    }

    fn ends(self, user: Option<&str>) -> Ends {
        let Some((true, file)) = self.kill else { return Ends::Never };
        let is = |name: &String| Some(name.as_str()) == user;
        let exclude = self.exclude.unwrap_or_else(|| vec!["root".to_owned()]);
        let is_meant = self.only.is_empty() || self.only.iter().any(is);
        if is_meant && !exclude.iter().any(is) { Ends::Always(file) } else { Ends::Never }
    }
}

/// The main file comes with every default in a comment, and distributions differ in theirs.
#[derive(Clone, Copy)]
enum Comments {
    AreDefaults,
    AreNothing,
}

/// The words that systemd takes.
fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// As the machine's own list of users has it, else as this shell says.
fn user_name(root: &Path, user: u32) -> Option<String> {
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
    let number = user.to_string();
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let listed = lines.find(|fields| fields.get(2) == Some(&number.as_str()));
    listed.map(|fields| fields[0].to_owned()).or_else(|| std::env::var("USER").ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with these files, on which systemd is at work.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("run/systemd/system/here", "");
        write("etc/passwd", "root:x:0:0::/root:/bin/sh\neve:x:1000:1000::/home/eve:/bin/sh\n");
        files.iter().for_each(|(path, text)| write(path, text));
        root
    }

    fn ends(files: &[(&str, &str)], user: u32) -> Option<String> {
        match observe(machine(files).path(), user).ends_processes {
            Ends::Always(file) => Some(file.to_string_lossy().into_owned()),
            Ends::Never => None,
            Ends::NoSystemd => panic!("systemd is at work there"),
        }
    }

    const MAIN: &str = "etc/systemd/logind.conf";
    const KILLS: &str = "[Login]\nKillUserProcesses=yes\n";

    #[test]
    fn the_last_file_that_says_it_counts_and_a_comment_in_the_first_is_the_default() {
        let amends = |folder: &str, name: &str| format!("{folder}/systemd/logind.conf.d/{name}.conf");
        let (early, late) = (amends("etc", "10-a"), amends("usr/lib", "90-b"));
        let hidden = amends("usr/lib", "10-a");
        let never = "[Login]\nKillUserProcesses=no\n";
        for (files, expected) in [
            (&[][..], None),
            (&[(MAIN, KILLS)], Some("/etc/systemd/logind.conf")),
            (&[("usr/lib/systemd/logind.conf", KILLS)], Some("/usr/lib/systemd/logind.conf")),
            (&[("usr/lib/systemd/logind.conf", KILLS), (MAIN, never)], None),
            (&[(MAIN, "[Login]\n#KillUserProcesses=no\n")], None),
            (&[(MAIN, "[Login]\n#KillUserProcesses=yes\n")], Some("/etc/systemd/logind.conf")),
            (&[(MAIN, "[Login]\n#KillUserProcesses=yes\nKillUserProcesses=off\n")], None),
            (&[(MAIN, "[Other]\nKillUserProcesses=yes\n")], None),
            (&[(MAIN, "[Login]\nKillUserProcesses=perhaps\n")], None),
            (&[(MAIN, never), (&early, KILLS)], Some("/etc/systemd/logind.conf.d/10-a.conf")),
            (&[(&early, KILLS), (&late, never)], None),
            (&[(&early, never), (&hidden, KILLS)], None),
        ] {
            assert_eq!(ends(files, 1000).as_deref(), expected, "{files:?}");
        }
    }

    #[test]
    fn users_are_left_out_by_name_and_root_is_where_nothing_is_said() {
        let with = |more: &str| format!("{KILLS}{more}");
        let is_ended = |text: &str, user| ends(&[(MAIN, text)], user).is_some();
        assert!(!is_ended(KILLS, 0) && is_ended(KILLS, 1000));
        assert!(is_ended(&with("KillExcludeUsers=\n"), 0));
        assert!(!is_ended(&with("KillExcludeUsers=adam eve\n"), 1000));
        assert!(!is_ended(&with("KillOnlyUsers=adam\n"), 1000));
        assert!(is_ended(&with("KillOnlyUsers=adam\nKillOnlyUsers=eve\n"), 1000));
    }

    #[test]
    fn the_way_out_depends_on_whether_the_user_lingers() {
        let told = |files: &[(&str, &str)]| finding(&observe(machine(files).path(), 1000));
        let alone = told(&[(MAIN, KILLS)]);
        assert_eq!(alone.state, State::Note);
        assert!(alone.says.contains("KillUserProcesses=yes in /etc/systemd/logind.conf"), "{}", alone.says);
        assert!(alone.way_out.unwrap().starts_with("loginctl enable-linger eve, then start it outside"));
        let lingering = told(&[(MAIN, KILLS), ("var/lib/systemd/linger/eve", "")]);
        assert!(lingering.way_out.unwrap().starts_with("start it outside of the session: systemd-run"));
        assert_eq!(told(&[]).state, State::Good);
    }

    #[test]
    fn who_detaches_in_a_session_that_will_be_ended_is_warned() {
        let scope = "0::/user.slice/user-1000.slice/session-3.scope\n";
        let warned = |group: &str, settings: &str| {
            warning(machine(&[(MAIN, settings), ("proc/self/cgroup", group)]).path(), 1000)
        };
        assert!(
            warned(scope, KILLS).unwrap().starts_with("logging out ends what was started in the session")
        );
        assert_eq!(warned("0::/user.slice/user-1000.slice/user@1000.service/run-7.scope\n", KILLS), None);
        assert_eq!(warned(scope, "[Login]\nKillUserProcesses=no\n"), None);
    }

    #[test]
    fn without_systemd_nobody_ends_anything() {
        let root = tempfile::tempdir().unwrap();
        let seen = observe(root.path(), 1000);
        assert_eq!(seen.ends_processes, Ends::NoSystemd);
        assert_eq!(finding(&seen).state, State::Good);
    }
}
