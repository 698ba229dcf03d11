//! A key that may not: `NoPermission` before anything is looked up, and nothing changes.

use crate::add;
use ensemble_tests::server::Engine;
use ensemble_tests::site::Site;

#[tokio::test]
async fn a_key_that_may_only_read_is_refused_a_write() {
    let mut site = Site::start(Engine::Simulated).unwrap();
    let app_id = site.create(&[]).await.unwrap();
    site.take_server().terminate().unwrap();
    let path = site.data_dir().join("credentials.toml");
    let credentials = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{credentials}grants = [\"ens:Describe*\", \"ens:List*\"]\n")).unwrap();
    site.restart().unwrap();
    let client = site.client().unwrap();
    let selector = r#"[{"regionCode":"cn-shanghai-cmcc","count":1}]"#;

    let refusal = client.call("RescaleApplication", &add(&app_id, selector)).await.unwrap().unwrap_err();

    assert_eq!((refusal.status, refusal.code.as_str()), (400, "NoPermission"));
    assert_eq!(refusal.body["AccessDeniedDetail"]["AuthAction"], "ens:RescaleApplication");
    client.ask("DescribeApplication", &[("AppId", &app_id)]).await.unwrap();
}
