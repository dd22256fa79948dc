//! Whom of several an error is about that the driver told of their GPU. Pure.

/// What is known of an error beside its GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of<'a> {
    /// The GPU itself: all that use it have met it.
    Device,
    /// These processes, where the driver names any.
    Program(&'a [u32]),
}

/// By position among those who may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    Theirs(Vec<usize>),
    /// One of them has met it, and nobody says which.
    OneOf(Vec<usize>),
    /// Somebody else's program.
    Strangers,
}

/// Whose an error is, of those with these process numbers, as far as they are known.
pub fn whose(processes: &[Option<u32>], of: Of) -> Whose {
    let those = |is_meant: &dyn Fn(Option<u32>) -> bool| -> Vec<usize> {
        (0..processes.len()).filter(|position| is_meant(processes[*position])).collect()
    };
    let Of::Program(named) = of else { return Whose::Theirs(those(&|_| true)) };
    let told = those(&|process| process.is_some_and(|process| named.contains(&process)));
    if !told.is_empty() {
        return Whose::Theirs(told);
    }
    // Named, and none of those that are known: one whose number is not known, or a stranger.
    let left = those(&|process| named.is_empty() || process.is_none());
    match left.len() {
        0 if !named.is_empty() => Whose::Strangers,
        0 | 1 => Whose::Theirs(left),
        _ => Whose::OneOf(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_that_of_the_process_which_the_driver_names_and_else_may_be_anybodys() {
        let two = [Some(7), Some(8)];
        let table: [(&[Option<u32>], Of, Whose); 8] = [
            (&two, Of::Program(&[8]), Whose::Theirs(vec![1])),
            (&two, Of::Program(&[]), Whose::OneOf(vec![0, 1])),
            (&two, Of::Program(&[9]), Whose::Strangers),
            (&two, Of::Program(&[7, 8]), Whose::Theirs(vec![0, 1])),
            (&two, Of::Device, Whose::Theirs(vec![0, 1])),
            (&two[..1], Of::Program(&[]), Whose::Theirs(vec![0])),
            (&[Some(7), None], Of::Program(&[9]), Whose::Theirs(vec![1])),
            (&[], Of::Program(&[]), Whose::Theirs(vec![])),
        ];
        for (processes, of, expected) in table {
            assert_eq!(whose(processes, of), expected, "{processes:?}, {of:?}");
        }
    }
}
