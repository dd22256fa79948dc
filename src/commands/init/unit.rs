//! The systemd user unit of a workspace: `overnight run --forever`, from the machine's start on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::commands::text;
use crate::exit::Exit;
use crate::run_dir::write;

/// What a unit says.
struct Unit<'a> {
    workspace: &'a str,
    program: &'a str,
    /// Variables of this shell that runs depend on, and that a service does not get by itself.
    environment: &'a [(&'static str, String)],
}

/// Where programs, libtorch and GPUs are found.
const VARIABLES: [&str; 6] =
    ["PATH", "LIBTORCH", "OVERNIGHT_WORKER", "CUDA_VISIBLE_DEVICES", "XDG_CACHE_HOME", "LD_LIBRARY_PATH"];

/// Writes the unit of the workspace in `folder`, and says how to enable it.
///
/// # Errors
/// There is no such folder, its path cannot stand in a unit, another unit lies there, or it cannot be
/// written.
pub fn write(folder: &Path) -> anyhow::Result<Exit> {
    let workspace = fs::canonicalize(folder)
        .with_context(|| format!("{} (overnight init makes a workspace)", folder.display()))?;
    let program = std::env::current_exe().context("this program does not find itself")?;
    let set = |name| std::env::var(name).ok().map(|value| (name, value));
    let environment: Vec<_> = VARIABLES.into_iter().filter_map(set).collect();
    let unit =
        Unit { workspace: sayable(&workspace)?, program: startable(&program)?, environment: &environment };
    let text = unit.text()?;
    let units = units_folder()?;
    let path = units.join(free_name(&units, &workspace, unit.workspace));
    match fs::read_to_string(&path) {
        Ok(there) if there == text => text::talk(format_args!("{} is there already", path.display())),
        Ok(_) => anyhow::bail!(
            "{} is there and says something else; it stays as it is (remove it, and this command writes it anew)",
            path.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(&units).with_context(|| format!("cannot make {}", units.display()))?;
            write::replace(&path, text.as_bytes(), write::Durability::Synced)?;
            drop(text::result(path.display()));
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    text::talk(format_args!(
        "start it now and at each login:  systemctl --user daemon-reload && systemctl --user enable --now {name}\n\
         also while nobody is logged in:  loginctl enable-linger\n\
         end it with checkpoints:         systemctl --user stop {name}\n\
         what it says:                    journalctl --user -u {name}"
    ));
    Ok(Exit::Success)
}

/// Where units of this user lie.
fn units_folder() -> anyhow::Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // As the standard has it, a relative path there counts for nothing.
    let config = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let config = config.or_else(|| set("HOME").map(|home| home.join(".config")));
    Ok(config.context("neither XDG_CONFIG_HOME nor HOME says where units lie")?.join("systemd/user"))
}

/// The name of the workspace's unit. Another workspace may have a folder of the same name, and its unit
/// lie there: then this one's has a hash of its path behind it.
fn free_name(units: &Path, workspace: &Path, path: &str) -> String {
    let folder = workspace.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let folder: String = folder.chars().map(plain).take(100).collect();
    let name = format!("overnight-{folder}.service");
    let works_in = |text: String| text.lines().any(|line| line == working_directory(path));
    if fs::read_to_string(units.join(&name)).is_ok_and(|text| !works_in(text)) {
        return format!("overnight-{folder}-{}.service", &blake3::hash(path.as_bytes()).to_hex()[..8]);
    }
    name
}

/// A path that can stand in a unit.
fn sayable(path: &Path) -> anyhow::Result<&str> {
    let text = path.to_str().filter(|text| !text.contains(char::is_control));
    let text = text.filter(|text| text.trim_end_matches([' ', '\\']) == *text);
    text.with_context(|| format!("{path:?} cannot stand in a systemd unit (give the folder another name)"))
}

/// A program's path that can stand in a unit: systemd starts none with quotes or backslashes in it.
fn startable(path: &Path) -> anyhow::Result<&str> {
    let text = sayable(path)?;
    anyhow::ensure!(
        !text.contains(['"', '\'', '\\']),
        "systemd starts no program with quotes or backslashes in its path: {text} (install it elsewhere)"
    );
    Ok(text)
}

fn working_directory(path: &str) -> String {
    format!("WorkingDirectory={}", path.replace('%', "%%"))
}

impl Unit<'_> {
    fn text(&self) -> anyhow::Result<String> {
        let mut environment = String::new();
        for (name, value) in self.environment {
            anyhow::ensure!(
                !value.contains(char::is_control),
                "the variable {name} has a control character in it, which cannot stand in a systemd unit"
            );
            environment += &format!("Environment={}\n", quoted(&format!("{name}={value}")));
        }
        Ok(format!(
            "\
# Written by `overnight init --systemd`. Change what you like: it is not written over.

[Unit]
Description=overnight works the queue of {workspace}
StartLimitIntervalSec=1h
StartLimitBurst=10

[Service]
Type=exec
{working_directory}
{environment}ExecStart={program} run --forever --plain

# Stopping is SIGTERM to the runner alone. It asks its workers for a checkpoint and the end, and kills
# those that do not listen; a large checkpoint on a slow disk takes its time.
KillSignal=SIGTERM
TimeoutStopSec=15min
# Workers are left alone otherwise: where the runner dies, they go on, and the one that is started in
# its place adopts them.
KillMode=process
# A worker that the kernel kills for its memory is tried again by the runner; the others go on.
OOMPolicy=continue

Restart=on-failure
RestartSec=30
# 75: ended with checkpoints, as asked, or another runner is at work here.
SuccessExitStatus=75
# Wrong usage, a wrong file, failed runs (100: the batch may have stopped itself for their number):
# starting again would change nothing before somebody has seen to it.
RestartPreventExitStatus=2 78 100

[Install]
WantedBy=default.target
",
            workspace = self.workspace.replace('%', "%%"),
            working_directory = working_directory(self.workspace),
            program = quoted(self.program),
        ))
    }
}

/// A value in quotes, as systemd reads it. A dollar sign stays: neither the program's path nor a
/// variable's value is searched for variables.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_percent_signs_and_quotes_are_written_as_systemd_wants_them() {
        let environment = [("LIBTORCH", "/opt/50% \"torch\"".to_owned())];
        let unit = Unit {
            workspace: "/home/a b/50%",
            program: "/opt/my tools/%/overnight",
            environment: &environment,
        };
        let text = unit.text().unwrap();
        for line in [
            "Description=overnight works the queue of /home/a b/50%%",
            "WorkingDirectory=/home/a b/50%%",
            "Environment=\"LIBTORCH=/opt/50%% \\\"torch\\\"\"",
            "ExecStart=\"/opt/my tools/%%/overnight\" run --forever --plain",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_path_that_would_break_the_unit_is_refused() {
        assert!(sayable(Path::new("/a/b c")).is_ok());
        for path in ["/a\nExecStart=/bin/false", "/ends in a space ", "/goes on\\"] {
            assert!(sayable(Path::new(path)).is_err(), "{path}");
        }
        assert!(startable(Path::new("/my tools/50%/$HOME/overnight")).is_ok());
        assert!(startable(Path::new("/my \"tools\"/overnight")).is_err());
        let environment = [("PATH", "/bin\nExecStop=/bin/false".to_owned())];
        assert!(Unit { workspace: "/w", program: "/o", environment: &environment }.text().is_err());
    }
}
