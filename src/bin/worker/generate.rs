//! Text that a model writes, token by token.

use crate::models::Gpt;
use overnight::experiment::settings::Sample;
use tch::{Device, Kind, TchError, Tensor};

/// Goes on from `prompt` (at least one token) `settings.count` times, by `settings.tokens` tokens each,
/// and gives what was added. Draws from the device's default generator. Looks at `ended` before every
/// token and gives `None` when it says so.
pub fn generate(
    model: &Gpt,
    prompt: &[i64],
    settings: &Sample,
    device: Device,
    ended: &dyn Fn() -> bool,
) -> Result<Option<Vec<Vec<i64>>>, TchError> {
    let _no_gradients = tch::no_grad_guard();
    let count = i64::from(settings.count);
    let prompt = Tensor::f_from_slice(prompt)?.f_to(device)?;
    let mut tokens = prompt.f_unsqueeze(0)?.f_repeat([count, 1])?;
    let start = tokens.size()[1];
    for _ in 0..settings.tokens {
        if ended() {
            return Ok(None);
        }
        // A model sees its context and no further back.
        let length = tokens.size()[1];
        let seen = length.min(model.context());
        let logits = model.forward_last(&tokens.f_narrow(1, length - seen, seen)?)?;
        let next = choose(&logits.f_to_kind(Kind::Float)?, settings)?;
        tokens = Tensor::f_cat(&[&tokens, &next], 1)?;
    }
    let added = tokens.f_narrow(1, start, tokens.size()[1] - start)?.f_to(Device::Cpu)?;
    let rows = added.f_contiguous()?.f_view([-1])?;
    let all = Vec::<i64>::try_from(rows)?;
    Ok(Some(all.chunks_exact(settings.tokens.max(1) as usize).map(<[i64]>::to_vec).collect()))
}

/// One token (int64, `[n, 1]`) for each row of `logits` (float, `[n, vocabulary]`).
fn choose(logits: &Tensor, settings: &Sample) -> Result<Tensor, TchError> {
    if settings.temperature <= 0.0 {
        return logits.f_argmax(-1, true);
    }
    let logits = logits.f_div_scalar(settings.temperature)?;
    let logits = keep_likeliest(&logits, i64::from(settings.top_k))?;
    let logits = keep_nucleus(&logits, settings.top_p)?;
    logits.f_softmax(-1, Kind::Float)?.f_multinomial(1, false)
}

/// The `k` largest of each row, the others at minus infinity; 0 keeps all.
fn keep_likeliest(logits: &Tensor, k: i64) -> Result<Tensor, TchError> {
    let vocabulary = logits.size()[1];
    if k == 0 || k >= vocabulary {
        return Ok(logits.shallow_clone());
    }
    let (largest, _) = logits.f_topk(k, -1, true, true)?;
    let smallest_kept = largest.f_narrow(1, k - 1, 1)?;
    logits.f_masked_fill(&logits.f_lt_tensor(&smallest_kept)?, f64::NEG_INFINITY)
}

/// The likeliest tokens of each row that together reach probability `p`, at least one (Holtzman et
/// al., 2020, arXiv:1904.09751).
fn keep_nucleus(logits: &Tensor, p: f64) -> Result<Tensor, TchError> {
    if p >= 1.0 {
        return Ok(logits.shallow_clone());
    }
    let (sorted, order) = logits.f_sort(-1, true)?;
    let probabilities = sorted.f_softmax(-1, Kind::Float)?;
    let before = probabilities.f_cumsum(-1, Kind::Float)?.f_sub(&probabilities)?;
    let sorted = sorted.f_masked_fill(&before.f_ge(p)?, f64::NEG_INFINITY)?;
    sorted.f_scatter(-1, &order, &sorted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Tensors, seeded};
    use overnight::experiment::settings;

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        Vec::try_from(tensor.flatten(0, -1)).unwrap()
    }

    fn finite(tensor: &Tensor) -> Vec<bool> {
        numbers(tensor).iter().map(|value| value.is_finite()).collect()
    }

    fn row(probabilities: &[f32]) -> Tensor {
        Tensor::from_slice(probabilities).log().unsqueeze(0)
    }

    #[test]
    fn top_k_keeps_the_likeliest_where_they_stand() {
        let logits = row(&[0.1, 0.4, 0.2, 0.3]);
        assert_eq!(finite(&keep_likeliest(&logits, 2).unwrap()), [false, true, false, true]);
        for all in [0, 4, 9] {
            assert_eq!(finite(&keep_likeliest(&logits, all).unwrap()), [true; 4]);
        }
    }

    #[test]
    fn top_p_keeps_as_few_as_reach_the_probability_and_never_none() {
        let logits = row(&[0.1, 0.4, 0.2, 0.3]);
        let kept = |p| finite(&keep_nucleus(&logits, p).unwrap());
        assert_eq!(kept(0.6), [false, true, false, true]);
        assert_eq!(kept(0.75), [false, true, true, true]);
        assert_eq!(kept(1e-6), [false, true, false, false]);
        assert_eq!(kept(1.0), [true; 4]);
        let nucleus = keep_nucleus(&logits, 0.6).unwrap();
        let values = (numbers(&nucleus)[1], numbers(&logits)[1]);
        assert_eq!(values.0, values.1);
    }

    #[test]
    fn chosen_tokens_follow_the_probabilities_and_the_temperature() {
        let logits = row(&[0.0, 0.75, 0.25]).repeat([4000, 1]);
        let _generator = seeded(1);
        let share = |temperature| {
            let settings = Sample { temperature, ..Sample::default() };
            let chosen = choose(&logits, &settings).unwrap();
            assert_eq!(i64::try_from(chosen.eq(0).any()).unwrap(), 0);
            f64::try_from(chosen.eq(1).mean(Kind::Float)).unwrap()
        };
        assert!((share(1.0) - 0.75).abs() < 0.03);
        // Probabilities to the power of two: 9 to 1.
        assert!((share(0.5) - 0.9).abs() < 0.03);
        assert_eq!(share(0.0), 1.0);
    }

    #[test]
    fn generation_goes_on_beyond_the_context_and_ends_when_asked() {
        let _generator = seeded(3);
        let size = settings::Gpt { layers: 1, heads: 2, width: 8, context: 4, ..settings::Gpt::default() };
        let mut tensors = Tensors::new(Device::Cpu);
        let model = Gpt::new(&mut tensors, &size, 5).unwrap();
        let settings = Sample { tokens: 10, count: 3, ..Sample::default() };
        let write = |ended: &dyn Fn() -> bool| {
            tch::manual_seed(3);
            generate(&model, &[1, 2], &settings, Device::Cpu, ended).unwrap()
        };
        let written = write(&|| false).unwrap();
        assert_eq!(written.len(), 3);
        assert!(written.iter().all(|tokens| tokens.len() == 10));
        assert!(written.iter().flatten().all(|token| (0..5).contains(token)));
        assert_eq!(write(&|| false).unwrap(), written);
        let asked = std::cell::Cell::new(0);
        let ended = || {
            asked.set(asked.get() + 1);
            asked.get() > 3
        };
        assert!(write(&ended).is_none());
    }
}
