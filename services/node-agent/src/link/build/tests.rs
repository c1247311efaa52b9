//! How the files of a build are taken.

use super::*;

fn message(input: &BuildInput) -> Message {
    Message {
        subject: "term.n.s.in".into(),
        reply: None,
        payload: serde_json::to_vec(input).unwrap().into(),
        headers: None,
        status: None,
        description: None,
        length: 0,
    }
}

fn piece(number: u64) -> Message {
    message(&BuildInput::Context {
        number,
        bytes: STANDARD.encode("x"),
    })
}

#[tokio::test]
async fn as_many_pieces_are_allowed_as_the_engine_has_room_for() {
    let (pieces, mut context) = mpsc::channel(2);
    let mut taken = Context::new(pieces);
    assert_eq!(taken.grant(), Some(2));
    assert_eq!(taken.grant(), None);
    taken.take(&piece(1)).unwrap();
    assert_eq!(taken.grant(), None, "one waits, one is on its way");
    context.recv().await.unwrap().unwrap();
    assert_eq!(taken.grant(), Some(3));
    taken.take(&piece(2)).unwrap();
    taken.take(&piece(3)).unwrap();
    assert!(
        taken
            .take(&piece(4))
            .unwrap_err()
            .contains("more than was allowed")
    );
}

#[tokio::test]
async fn a_lost_piece_ends_it() {
    let (pieces, _context) = mpsc::channel(4);
    let mut taken = Context::new(pieces);
    taken.take(&piece(1)).unwrap();
    assert!(taken.take(&piece(3)).unwrap_err().contains("lost on the way"));
    let (pieces, mut context) = mpsc::channel(4);
    let mut taken = Context::new(pieces);
    taken.take(&message(&BuildInput::End { number: 1 })).unwrap();
    assert!(context.recv().await.is_none(), "the end is told to the engine");
    assert!(taken.take(&piece(2)).is_err());
}
