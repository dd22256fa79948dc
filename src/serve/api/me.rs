//! `/api/v1/me`: who asks, and what they may change.

use super::call::{Call, Reply};
use super::problem::Problem;
use super::route::{Access, Route};
use crate::serve::control::session::Me;

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/me",
    name: "getMe",
    summary: "Who asks, by bearer or cookie, and what they may change.",
    parameters: &[],
    refusals: &[],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<Me>())],
    answer,
};

fn answer(call: &Call) -> Result<Reply, Problem> {
    Reply::json(&Me::of(call.api.control.is_some(), call.api.person(call.asked).as_deref()))
}
