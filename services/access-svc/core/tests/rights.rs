//! Rights on the bus, tried against what each user must and must not reach.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use berth_access_core::{
    AccountClaims, AccountLimits, Permissions, SERVICES, UserClaims, account_claims, agent_permissions,
    exports, imports, log_reader, service_permissions, user_claims,
};
use berth_ids::{ClusterId, NodeId, Timestamp};

const NODE: NodeId = NodeId::from_u128(1);
const OTHER: NodeId = NodeId::from_u128(2);
const CLUSTER: ClusterId = ClusterId::from_u128(3);

/// The rule of NATS: `*` is one token, `>` is the rest.
fn matches(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) => return true,
            (Some(p), Some(s)) if p == "*" || p == s => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn publishes(permissions: &Permissions, subject: &str) -> bool {
    permissions
        .publish
        .iter()
        .any(|pattern| matches(pattern, subject))
}

fn hears(permissions: &Permissions, subject: &str) -> bool {
    permissions
        .subscribe
        .iter()
        .any(|pattern| matches(pattern, subject))
}

#[test]
fn an_agent_reaches_only_its_own() {
    let agent = agent_permissions(NODE, CLUSTER);
    for (subject, own) in [
        (format!("rpt.alloc.{NODE}"), true),
        (format!("rpt.alloc.{OTHER}"), false),
        (format!("hb.{OTHER}"), false),
        (format!("q.access.secret.{NODE}"), true),
        (format!("q.access.secret.{OTHER}"), false),
        (format!("q.access.renew.{NODE}"), true),
        (format!("q.access.renew.{OTHER}"), false),
        (format!("q.access.put_secret.{NODE}"), false),
        (format!("q.access.reveal.{NODE}"), false),
        (format!("q.log.open.{NODE}"), false),
        (format!("$JS.API.DIRECT.GET.EVT.evt.main.placement.{NODE}"), true),
        (
            format!("$JS.API.DIRECT.GET.EVT.evt.main.placement.{OTHER}"),
            false,
        ),
        ("$JS.API.DIRECT.GET.EVT".into(), false),
        ("$JS.API.STREAM.MSG.GET.EVT".into(), false),
        ("$JS.API.CONSUMER.CREATE.EVT.mine".into(), false),
        ("$JS.API.STREAM.INFO.EVT".into(), false),
        (format!("evt.main.placement.{NODE}"), false),
        ("cmd.scheduler.deploy.-".into(), false),
        ("led.append.scheduler".into(), false),
    ] {
        assert_eq!(publishes(&agent, &subject), own, "publish {subject}");
    }
    for (subject, own) in [
        (format!("evt.main.placement.{NODE}"), true),
        (format!("evt.main.placement.{OTHER}"), false),
        ("evt.main.token.x".into(), false),
        (format!("ctl.{NODE}.logs"), true),
        (format!("ctl.{OTHER}.logs"), false),
        (format!("doc.{CLUSTER}.endpoints.a.web"), true),
        (format!("doc.{CLUSTER}.node.{OTHER}.volumes"), false),
        (format!("doc.{}.endpoints.a", ClusterId::from_u128(9)), false),
        (format!("_INBOX.{NODE}.x"), true),
        (format!("_INBOX.{OTHER}.x"), false),
        ("_INBOX.gateway.x".into(), false),
        (format!("rpt.alloc.{NODE}"), false),
    ] {
        assert_eq!(hears(&agent, &subject), own, "hear {subject}");
    }
}

#[test]
fn only_the_ledger_writes_facts_and_each_service_appends_as_itself() {
    for service in SERVICES {
        let permissions = service_permissions(service);
        assert_eq!(
            publishes(&permissions, "evt.main.node.x"),
            *service == "ledger",
            "{service}"
        );
        for other in SERVICES.iter().filter(|other| *other != service) {
            for verb in ["CREATE", "DELETE", "MSG.NEXT"] {
                let reader = |of: &str| format!("$JS.API.CONSUMER.{verb}.EVT.{}", log_reader(of, 0));
                assert!(
                    !publishes(&permissions, &reader(other)),
                    "{service} {}",
                    reader(other)
                );
                assert!(publishes(&permissions, &reader(service)), "{}", reader(service));
            }
            assert!(
                !publishes(&permissions, &format!("led.append.{other}")),
                "{service} as {other}"
            );
            assert!(
                !hears(&permissions, &format!("_INBOX.{other}.x")),
                "{service} hears {other}"
            );
            assert!(
                !hears(&permissions, &format!("q.{other}.x.y")),
                "{service} answers for {other}"
            );
        }
    }
    assert_eq!(service_permissions("unknown"), Permissions::default());
}

#[test]
fn commands_are_sent_verb_by_verb() {
    for (service, subject, may) in [
        ("gateway", "cmd.scheduler.deploy.x", true),
        ("monitor", "cmd.cluster.mark_lost.x", true),
        ("monitor", "cmd.cluster.remove_node.x", false),
        ("cluster", "cmd.scheduler.remove.x", true),
        ("cluster", "cmd.scheduler.deploy.x", false),
        ("scheduler", "cmd.cluster.settle_drain.x", true),
        ("lb", "cmd.cluster.settle_drain.x", false),
        (
            "cluster",
            "$JS.API.CONSUMER.CREATE.CMD.cluster.cmd.cluster.>",
            true,
        ),
        (
            "cluster",
            "$JS.API.CONSUMER.CREATE.CMD.cluster.cmd.access.>",
            false,
        ),
        ("cluster", "$JS.API.CONSUMER.MSG.NEXT.CMD.access", false),
        ("cluster", "$JS.API.STREAM.DELETE.EVT", false),
        ("cluster", "ctl.x.recorded", false),
        ("scheduler", "ctl.x.recorded", true),
    ] {
        assert_eq!(
            publishes(&service_permissions(service), subject),
            may,
            "{service} {subject}"
        );
    }
}

fn claims_of(token: &str) -> serde_json::Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn claims_have_the_shape_of_version_2() {
    let permissions = agent_permissions(NODE, CLUSTER);
    let token = user_claims(&UserClaims {
        account: "AACCOUNT",
        user: "UUSER",
        name: "web-1",
        issued_at: Timestamp::from_millis(5_000),
        permissions: Some(&permissions),
    })
    .signed(b"signature");
    let claims = claims_of(&token);
    assert_eq!(claims["iss"], "AACCOUNT");
    assert_eq!(claims["iat"], 5);
    assert_eq!(claims["nats"]["version"], 2);
    assert!(claims["nats"]["resp"].is_null(), "nobody asks an agent");
    assert_eq!(
        claims["nats"]["sub"]["allow"][0],
        format!("evt.*.placement.{NODE}")
    );
}

/// A server takes a line of 4 KiB from who has not logged in yet, and the token is in it.
#[test]
fn every_token_fits_into_the_line_by_which_its_user_logs_in() {
    const ROOM: usize = 4_096 - 512;
    let agent = agent_permissions(NODE, CLUSTER);
    let all = SERVICES
        .iter()
        .map(|service| (*service, service_permissions(service)));
    for (name, permissions) in all.chain([("agent", agent)]) {
        let token = user_claims(&UserClaims {
            account: &"A".repeat(56),
            user: &"U".repeat(56),
            name,
            issued_at: Timestamp::from_millis(5_000),
            permissions: Some(&permissions),
        })
        .signed(&[0; 64]);
        assert!(
            token.len() < ROOM,
            "the token of {name} has {} bytes",
            token.len()
        );
    }
}

#[test]
fn a_user_without_a_right_has_none_rather_than_all() {
    let token = user_claims(&UserClaims {
        account: "A",
        user: "U",
        name: "nobody",
        issued_at: Timestamp::from_millis(0),
        permissions: Some(&Permissions::default()),
    })
    .signed(b"");
    assert_eq!(claims_of(&token)["nats"]["pub"]["deny"][0], ">");
}

/// Whether one pattern takes in all that another does.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(w), Some(n)) if w == n => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether there is a subject that both take in.
fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

#[test]
fn a_node_imports_what_it_may_say_and_hear_and_the_services_offer_all_of_it() {
    let (offered, wanted) = (exports(), imports(NODE, CLUSTER));
    for import in &wanted {
        let by = offered.iter().filter(|export| {
            export.direction == import.direction && covers(&export.subject, &import.subject)
        });
        assert_eq!(by.count(), 1, "{import:?} is offered once");
        assert!(!import.subject.starts_with("_INBOX"), "{import:?}");
    }
    let rights = agent_permissions(NODE, CLUSTER);
    assert_eq!(wanted.len(), rights.publish.len() + rights.subscribe.len() - 1);
    for list in [&offered, &wanted] {
        for (at, one) in list.iter().enumerate() {
            for other in list[at + 1..]
                .iter()
                .filter(|other| other.direction == one.direction)
            {
                assert!(!overlap(&one.subject, &other.subject), "{one:?} and {other:?}");
            }
        }
    }
}

fn account(revoked: Option<Timestamp>) -> serde_json::Value {
    let shares = imports(NODE, CLUSTER);
    let token = account_claims(&AccountClaims {
        operator: "O",
        account: "A",
        name: "berth",
        issued_at: Timestamp::from_millis(8_000),
        limits: AccountLimits {
            jetstream: false,
            connections: Some(8),
            subscriptions: None,
        },
        exports: &exports(),
        imports: revoked.is_none().then_some(("ASERVICES", shares.as_slice())),
        revoked,
    })
    .signed(b"");
    claims_of(&token)
}

#[test]
fn an_account_says_what_it_offers_and_takes() {
    let claims = account(None);
    let nats = &claims["nats"];
    assert_eq!(
        (&nats["limits"]["conn"], &nats["limits"]["subs"]),
        (&8.into(), &(-1).into())
    );
    assert_eq!(nats["limits"]["streams"], 0);
    assert_eq!(nats["exports"][0]["type"], "service");
    assert_eq!(
        nats["exports"].as_array().unwrap().last().unwrap()["type"],
        "stream"
    );
    assert_eq!(nats["imports"][0]["account"], "ASERVICES");
    assert!(nats["revocations"].as_object().unwrap().is_empty());
}

#[test]
fn a_revoked_account_takes_nobody_and_has_nothing() {
    let claims = account(Some(Timestamp::from_millis(7_400)));
    assert_eq!(claims["nats"]["revocations"]["*"], 8);
    assert_eq!(claims["nats"]["imports"], serde_json::json!([]));
    assert_ne!(
        claims["jti"],
        account(None)["jti"],
        "servers take tokens of one id for the same"
    );
}
