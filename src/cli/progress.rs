//! Progress bars on a terminal; nothing elsewhere.

use std::{
    io::IsTerminal,
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pipeline::{Observer, Silent};

use super::args::Global;

/// One bar for the stage under way, one line for each that is done.
struct Bars {
    current: Mutex<Option<(ProgressBar, Instant)>>,
}

/// Progress for this terminal, or silence where stderr is none.
pub(super) fn observer(global: &Global) -> Box<dyn Observer> {
    // Log lines and bars would write over each other.
    if global.quiet || global.verbose > 0 || global.log_json || !std::io::stderr().is_terminal() {
        Box::new(Silent)
    } else {
        Box::new(Bars { current: Mutex::default() })
    }
}

impl Bars {
    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        if let Some((bar, _)) = self.current.lock().expect("bars do not panic").as_ref() {
            act(bar);
        }
    }
}

impl Observer for Bars {
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str) {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        let template = if total.is_some() {
            "{prefix:>20} [{bar:30}] {human_pos}/{human_len} {unit} {eta} {msg}"
        } else {
            "{prefix:>20} {spinner} {msg}"
        };
        let style = ProgressStyle::with_template(&template.replace("{unit}", unit)).expect("the template is fixed");
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(stage.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        *self.current.lock().expect("bars do not panic") = Some((bar, Instant::now()));
    }

    fn total(&self, total: u64) {
        self.with(|bar| {
            let style = "{prefix:>20} [{bar:30}] {human_pos}/{human_len} {eta} {msg}";
            bar.set_style(ProgressStyle::with_template(style).expect("the template is fixed").progress_chars("=> "));
            bar.set_length(total);
        });
    }

    fn advance(&self, n: u64) {
        self.with(|bar| bar.inc(n));
    }

    fn note(&self, text: &str) {
        self.with(|bar| bar.set_message(text.to_owned()));
    }

    fn end(&self) {
        if let Some((bar, start)) = self.current.lock().expect("bars do not panic").take() {
            bar.set_style(ProgressStyle::with_template("{prefix:>20} {msg}").expect("the template is fixed"));
            bar.finish_with_message(format!("{:.1} s", start.elapsed().as_secs_f64()));
        }
    }
}
