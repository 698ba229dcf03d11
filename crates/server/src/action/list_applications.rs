//! ListApplications: by cluster, newest first within one; paged over applications, not clusters (ens-api.md §2.7).

use super::{Answer, Context};
use crate::view::Selection;
use crate::view::application::{Frame, listed};
use ensemble_model::application::Application;
use ensemble_model::permit::Permit;
use ensemble_wire::action::Page;
use ensemble_wire::action::list_applications::{App, AppList, Applications, Cluster, Request, Response};
use ensemble_wire::error::Error;
use ensemble_wire::payload::to_text;
use ensemble_wire::time;
use std::cmp::Reverse;
use std::sync::Arc;

pub(super) fn handle(context: &Context, permit: &Permit, request: &Request) -> Result<Answer, Error> {
    let state = context.state();
    let account = state.account(permit);
    let mut found: Vec<&Arc<Application>> =
        account.applications().filter(|application| matches(application, request)).collect();
    found.sort_by_key(|application| {
        (&application.meta.cluster, Reverse(application.created_at), &application.id)
    });
    let total_count = found.len();
    let page = request.page.unwrap_or(Page { number: 1, size: total_count });
    let selection = Selection::new(request.versions.clone());
    let frame =
        Frame { fleet: state.fleet(), selection: &selection, level: request.level, parts: request.parts };
    let mut clusters: Vec<Cluster> = Vec::new();
    for application in page.of(found) {
        let info = listed(application, &account.instances(&application.id), &frame);
        let app = App { app_id: application.id.to_string(), app_info: to_text(&info) };
        match clusters.last_mut().filter(|last| last.cluster_name == application.meta.cluster) {
            Some(last) => last.app_list.app.push(app),
            None => clusters.push(Cluster {
                app_list: AppList { app: vec![app] },
                cluster_name: application.meta.cluster.clone(),
            }),
        }
    }
    Ok(Answer::of(&Response {
        applications: Applications { application: clusters },
        page_number: page.number,
        page_size: page.size,
        request_id: context.request_id.clone(),
        total_count,
    }))
}

/// Cluster and day of creation, both ends of the dates included.
fn matches(application: &Application, request: &Request) -> bool {
    let created = time::date(application.created_at.0);
    request.clusters.as_ref().is_none_or(|names| names.contains(&application.meta.cluster))
        && request.min_date.as_ref().is_none_or(|first| *first <= created)
        && request.max_date.as_ref().is_none_or(|last| created <= *last)
}
