//! Two clocks, both monotonic: one for everything, one for training steps alone.

use std::time::{Duration, Instant};

pub struct Clock {
    /// Seconds of earlier attempts.
    before: f64,
    began: Instant,
    /// Steps of this attempt.
    steps: u64,
    /// Steps since the last rate, and the time they took without evaluations, samples, checkpoints.
    lap_steps: u64,
    lap: Duration,
    running: Option<Instant>,
}

impl Clock {
    pub fn new(elapsed_before_seconds: f64) -> Clock {
        Clock {
            before: elapsed_before_seconds,
            began: Instant::now(),
            steps: 0,
            lap_steps: 0,
            lap: Duration::ZERO,
            running: None,
        }
    }

    /// Seconds over all attempts.
    pub fn elapsed_seconds(&self) -> f64 {
        self.before + self.began.elapsed().as_secs_f64()
    }

    /// Training goes on. Does nothing while it is going on.
    pub fn resume(&mut self) {
        self.running.get_or_insert_with(Instant::now);
    }

    pub fn step(&mut self) {
        self.steps += 1;
        self.lap_steps += 1;
    }

    /// Something else than training begins. The device must have finished its steps.
    pub fn pause(&mut self) {
        if let Some(since) = self.running.take() {
            self.lap += since.elapsed();
        }
    }

    /// Training steps per second since the last call; `None` when there was none.
    pub fn lap_rate(&mut self) -> Option<f64> {
        let (steps, seconds) = (self.lap_steps, self.lap.as_secs_f64());
        (self.lap_steps, self.lap) = (0, Duration::ZERO);
        (steps > 0 && seconds > 0.0).then(|| steps as f64 / seconds)
    }

    /// Seconds that `steps` more will take at the pace of this attempt, everything included.
    pub fn remaining_seconds(&self, steps: u64) -> Option<f64> {
        (self.steps > 0).then(|| self.began.elapsed().as_secs_f64() / self.steps as f64 * steps as f64)
    }
}
