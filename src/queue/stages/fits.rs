//! Whether the weights of one run can be the beginning of another: pure, from the settings of both.

use crate::data_files::Vocabulary;
use crate::experiment::Problem;
use crate::experiment::settings::{Data, Model, Settings, Weights, Which};

/// What keeps a run of the settings `ours` from beginning with the weights of one of `theirs`, which the
/// file names as `from`. The head of a classifier may differ: that is not taken then.
pub fn misfits(theirs: &Settings, ours: &Settings, from: &str) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut same = |path: &str, theirs: serde_json::Value, ours: serde_json::Value| {
        if theirs != ours {
            let reason =
                format!("{path} is {ours}, and {from}, whose weights it is to begin with, has {theirs}");
            found.push(Problem::new(path, reason, format!("write {theirs}, or begin with other weights")));
        }
    };
    same("model.kind", theirs.model.kind().into(), ours.model.kind().into());
    match (&theirs.model, &ours.model) {
        (Model::Gpt(theirs), Model::Gpt(ours)) => {
            same("model.layers", theirs.layers.into(), ours.layers.into());
            same("model.heads", theirs.heads.into(), ours.heads.into());
            same("model.width", theirs.width.into(), ours.width.into());
            same("model.context", theirs.context.into(), ours.context.into());
            same("model.bias", theirs.bias.into(), ours.bias.into());
        }
        (Model::Mlp(theirs), Model::Mlp(ours)) => {
            same("model.hidden", theirs.hidden.clone().into(), ours.hidden.clone().into());
        }
        (Model::Cnn(theirs), Model::Cnn(ours)) => {
            same("model.channels", theirs.channels.clone().into(), ours.channels.clone().into());
        }
        (Model::Resnet18(theirs), Model::Resnet18(ours)) => {
            same("model.width", theirs.width.into(), ours.width.into());
        }
        _ => return found,
    }
    match (&theirs.data, &ours.data) {
        (Data::Text(theirs), Data::Text(ours)) => {
            let word = |tokenizer| serde_json::to_value(tokenizer).unwrap_or_default();
            same("data.tokenizer", word(theirs.tokenizer), word(ours.tokenizer));
        }
        // Of IDX files the size is known only when they are read.
        _ => {
            // ResNet-18 takes images of any size: it averages over what is left of them.
            let any_size = matches!(ours.model, Model::Resnet18(_));
            if let (Some(theirs), Some(ours)) = (image(&theirs.data), image(&ours.data)) {
                same("data.channels", theirs.0.into(), ours.0.into());
                if !any_size {
                    same("data.size", theirs.1.into(), ours.1.into());
                }
            }
        }
    }
    found
}

/// Channels and side of the images, where the settings tell them.
fn image(data: &Data) -> Option<(u32, u32)> {
    match data {
        Data::Shapes(shapes) => Some((1, shapes.size)),
        Data::Folder(folder) => Some((folder.channels, folder.size)),
        Data::Text(_) | Data::Idx(_) => None,
    }
}

/// What of the text or of the prompts has no token in the vocabulary that comes with the weights.
pub fn foreign(theirs: &Vocabulary, ours: &Vocabulary, settings: &Settings, from: &str) -> Vec<Problem> {
    let (Vocabulary::Char { characters: known }, Vocabulary::Char { characters }) = (theirs, ours) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(new) = characters.iter().find(|character| !known.contains(character)) {
        let count = characters.iter().filter(|character| !known.contains(character)).count();
        let more = if count > 1 { format!(" and {} others", count - 1) } else { String::new() };
        found.push(Problem::new(
            "data.files",
            format!("{new:?}{more} of this text is not in the vocabulary of {from}, whose model has no token for it"),
            "leave such text out, or let both learn with data.tokenizer = \"byte\"",
        ));
    }
    for error in settings.sample.prompts.iter().filter_map(|prompt| theirs.encode(prompt).err()) {
        let character = error.character;
        let reason = format!("{character:?} of this prompt is not in the vocabulary of {from}");
        found.push(Problem::new("sample.prompts", reason, "write a prompt without it"));
    }
    found
}

/// Why the checkpoint that `weights` names will not be there when a run of `theirs` has finished.
pub fn not_kept(theirs: &Settings, steps: u64, steps_per_epoch: u64, weights: &Weights) -> Option<Problem> {
    let Some(Which::Step(step)) = weights.which() else { return None };
    let from = &weights.from;
    let every = theirs.checkpoint.every;
    let refuse = |reason: String, way_out: String| Some(Problem::new("weights.file", reason, way_out));
    let else_best = "or write \"best\" or \"last\"";
    if step > steps {
        return refuse(
            format!("{from} ends at step {steps}"),
            format!("name a step up to {steps}, {else_best}"),
        );
    }
    if step != steps && !every.is_due(step, steps_per_epoch) {
        return refuse(
            format!("{from} writes no checkpoint at step {step}"),
            format!("change its checkpoint.every, {else_best}"),
        );
    }
    // No more are looked at than can be kept.
    let later = (step + 1..=steps).filter(|at| *at == steps || every.is_due(*at, steps_per_epoch));
    let later = later.take(theirs.checkpoint.keep as usize).count();
    if later >= theirs.checkpoint.keep as usize {
        let keep = theirs.checkpoint.keep;
        return refuse(
            format!(
                "{from} keeps its newest {keep} checkpoints and its best, so step {step} may be gone by then"
            ),
            format!("raise its checkpoint.keep, {else_best}"),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::Tokenizer;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    fn paths(theirs: &str, ours: &str) -> Vec<String> {
        misfits(&settings(theirs), &settings(ours), "a").into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn what_decides_a_shape_must_be_the_same_and_nothing_else() {
        let text = "data = { kind = 'text', files = ['a'] }\nmodel = { kind = 'gpt' }\n";
        let other = text.replace("'gpt'", "'gpt', width = 64, context = 8, dropout = 0.5");
        assert_eq!(paths(text, &other), ["model.width", "model.context"]);
        assert_eq!(paths(text, &text.replace("['a']", "['b'], validation = 0.5")), [""; 0]);
        assert_eq!(paths(text, &text.replace("['a']", "['a'], tokenizer = 'byte'")), ["data.tokenizer"]);
        let shapes = "data = { kind = 'shapes', classes = 3 }\nmodel = { kind = 'cnn' }\n";
        assert_eq!(paths(text, shapes), ["model.kind"]);
        assert_eq!(paths(shapes, &shapes.replace("classes = 3", "classes = 6, count = 90")), [""; 0]);
        assert_eq!(paths(shapes, &shapes.replace("classes", "size = 32, classes")), ["data.size"]);
        let resnet = shapes.replace("'cnn'", "'resnet18'");
        assert_eq!(paths(&resnet, &resnet.replace("classes", "size = 32, classes")), [""; 0]);
        let mlp = shapes.replace("'cnn'", "'mlp', hidden = [8]");
        let folder =
            mlp.replace("'shapes', classes = 3", "'folder', path = 'x', size = 24").replace("[8]", "[9]");
        assert_eq!(paths(&mlp, &folder), ["model.hidden", "data.channels"]);
    }

    #[test]
    fn characters_that_the_other_model_has_no_token_for_are_named() {
        let ours = settings(
            "data = { kind = 'text', files = ['a'] }\nmodel = { kind = 'gpt' }\nsample = { prompts = ['ab', 'xé'] }",
        );
        let of = |text: &str| Vocabulary::of(text, Tokenizer::Char);
        assert_eq!(foreign(&of("abcéx"), &of("abc"), &ours, "a"), []);
        let found = foreign(&of("abc"), &of("abxyz"), &ours, "a");
        assert!(found[0].reason.starts_with("'x' and 2 others of this text"), "{}", found[0].reason);
        assert_eq!((found[1].path.as_str(), found.len()), ("sample.prompts", 2));
        assert_eq!(foreign(&Vocabulary::Byte, &Vocabulary::Byte, &ours, "a"), []);
    }

    #[test]
    fn a_checkpoint_that_will_not_be_kept_is_refused_before_the_night() {
        let theirs = settings(
            "data = { kind = 'shapes' }\nmodel = { kind = 'mlp' }\ncheckpoint = { every = 10, keep = 2 }",
        );
        let reason = |step: u64| {
            let weights = Weights { from: "a".to_owned(), file: Which::file_of(step) };
            not_kept(&theirs, 100, 50, &weights).map(|problem| problem.reason)
        };
        assert_eq!((reason(100), reason(90)), (None, None));
        assert!(reason(80).unwrap().contains("step 80 may be gone"));
        assert!(reason(95).unwrap().contains("no checkpoint at step 95"));
        assert!(reason(101).unwrap().contains("ends at step 100"));
        let best = Weights { from: "a".to_owned(), file: "best".to_owned() };
        assert_eq!(not_kept(&theirs, 100, 50, &best), None);
    }
}
