//! AdvanceClock: a test steps the time of its emulator. What a step is, and when it is done, is `stepper`'s.

use super::{Answer, Context};
use crate::stepper::{self, Stuck};
use ensemble_model::permit::Permit;
use ensemble_wire::action::advance_clock::{Request, Response};
use ensemble_wire::error::{Code, Error, Reason};
use jiff::Timestamp;

pub(super) async fn handle(context: &Context, permit: Permit, request: Request) -> Result<Answer, Error> {
    context.check_owner(&permit)?;
    let services = &context.services;
    let Some(stepper) = &services.stepper else {
        return Err(Error::interface_error(
            Reason::ClockRuns,
            "The time of this server passes by itself. One that is started with `ensemble serve --engine simulated \
             --ephemeral --clock manual` is stepped.",
        ));
    };
    let stepped = stepper.step(services, i64::from(request.seconds) * 1_000).await;
    let now = services.clock.now().wall;
    let now = Timestamp::from_millisecond(now.0).map(|now| now.to_string()).unwrap_or_default();
    match stepped {
        Ok(()) => Ok(Answer::of(&Response {
            now,
            stepped_ms: stepper.shown_ms(),
            request_id: context.request_id.clone(),
        })),
        Err(Stuck) => Err(Error::new(Code::ServiceUnavailable).with_detail(format!(
            "More was due than could happen within {} s; the clock shows {now}. Call again for the rest.",
            stepper::STEP_WITHIN.as_secs()
        ))),
    }
}
