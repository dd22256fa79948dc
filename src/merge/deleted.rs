//! What rules let go, here and there: a run that was deleted here is not brought back in silence, and what
//! was deleted there is not taken for something still to be done here.

use std::io;

use super::{What, Wish, copy};
use crate::run_dir::deleted::{Deleted, known};
use crate::run_dir::records::RunRecord;
use crate::run_dir::{Workspace, read, reason, requests};

/// That a rule deleted this run here; none where it did not.
pub fn here(workspace: &Workspace, experiment: &str, record: &RunRecord) -> Option<What> {
    let known = known(workspace, experiment);
    let gone = known.iter().rfind(|gone| gone.run == record.run && gone.hash == record.hash)?;
    let on = reason::moment(gone.time);
    Some(What::Deleted {
        why: format!(
            "a rule deleted it here on {on} ({}), so it stays there (copy its folder by hand to have it back)",
            gone.why
        ),
    })
}

/// Takes over what is known of runs that rules let go there.
///
/// # Errors
/// The file here cannot be written.
pub fn merge(
    workspace: &Workspace,
    there: &Workspace,
    experiment: &str,
    wish: Wish,
) -> io::Result<Option<What>> {
    let file = there.deleted(experiment);
    if copy::open(&file).is_err() {
        return Ok(None);
    }
    let lines = |workspace: &Workspace| read::lines::<Deleted>(&workspace.deleted(experiment));
    let Ok(ours) = lines(workspace) else {
        return Ok(Some(What::Conflict { why: "the one here cannot be read".into() }));
    };
    if let Err(error) = lines(there) {
        return Ok(Some(What::LeftOut { why: error.to_string() }));
    }
    let mut bytes = 0;
    for line in new_lines(known(there, experiment), &ours.records) {
        bytes += serde_json::to_vec(&line).map_err(io::Error::from)?.len() as u64 + 1;
        if !wish.dry_run {
            requests::append(&workspace.deleted(experiment), &line)?;
        }
    }
    Ok(Some(if bytes > 0 { What::Grown { bytes } } else { What::Same }))
}

/// Of the lines there those that are not here, and that nobody has forgotten here since.
fn new_lines(theirs: Vec<Deleted>, ours: &[Deleted]) -> Vec<Deleted> {
    let is_new = |line: &Deleted| {
        !ours.iter().any(|known| {
            let is_it = known.run == line.run && known.time.to_bits() == line.time.to_bits();
            let is_forgotten = known.is_forgotten && known.hash == line.hash && known.time >= line.time;
            is_it || is_forgotten
        })
    };
    theirs.into_iter().filter(is_new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(run: &str, time: f64, is_forgotten: bool) -> Deleted {
        Deleted {
            time,
            run: run.into(),
            number: 0,
            hash: run.repeat(8),
            why: "untouched for 30 days".into(),
            result: None,
            budgets: Vec::new(),
            data: Vec::new(),
            is_forgotten,
        }
    }

    #[test]
    fn a_line_is_taken_once_and_not_after_somebody_forgot_it() {
        let names = |theirs: &[Deleted], ours: &[Deleted]| -> Vec<String> {
            new_lines(theirs.to_vec(), ours).into_iter().map(|line| line.run).collect()
        };
        let theirs = [line("a", 1.0, false), line("b", 2.0, false)];
        assert_eq!(names(&theirs, &[]), ["a", "b"]);
        assert_eq!(names(&theirs, &theirs), [""; 0]);
        assert_eq!(names(&theirs, &[line("a", 5.0, true)]), ["b"], "forgotten since");
        assert_eq!(names(&theirs, &[line("a", 0.5, true)]), ["a", "b"], "deleted again since");
    }
}
