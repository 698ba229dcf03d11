//! DescribeImages: what the engines' stores keep, and which versions mean it. The images of the machine are the
//! operator's, so versions of every account are named; only the owner's account gets to see it.

use super::{Answer, Context};
use crate::images;
use ensemble_model::permit::Permit;
use ensemble_wire::action::describe_images::{Request, Response};
use ensemble_wire::error::Error;

pub(super) async fn handle(context: &Context, permit: Permit, _: Request) -> Result<Answer, Error> {
    context.check_owner(&permit)?;
    let (stored, total_bytes) =
        context.services.engines.images().await.map_err(|error| images::fault(&error))?;
    let state = context.state();
    Ok(Answer::of(&Response {
        images: stored.into_iter().map(|stored| images::shown(stored, &state)).collect(),
        total_bytes,
        cache_bytes: context.services.cache_bytes(),
        request_id: context.request_id.clone(),
    }))
}
