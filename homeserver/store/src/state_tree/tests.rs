//! State trees against a plain map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Model = BTreeMap<u64, u64>;

fn tree() -> StateTree {
    StateTree::new(Store::in_memory())
}

/// Runs a future of the memory backend, which never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

async fn insert(tree: &StateTree, root: StateRoot, entries: &[(u64, u64)]) -> StateRoot {
    let entries: Vec<Entry> =
        entries.iter().map(|(k, e)| (StateKeyNumber(*k), EventNumber(*e))).collect();
    let (tree, entries) = (tree, &entries);
    let store = tree.store.clone();
    store
        .write::<_, StoreError, _, _>(|tx| async move { tree.insert(&tx, root, entries).await })
        .await
        .unwrap()
}

async fn remove(tree: &StateTree, root: StateRoot, keys: &[u64]) -> StateRoot {
    let keys: Vec<StateKeyNumber> = keys.iter().copied().map(StateKeyNumber).collect();
    let (tree, keys) = (tree, &keys);
    let store = tree.store.clone();
    store
        .write::<_, StoreError, _, _>(|tx| async move { tree.remove(&tx, root, keys).await })
        .await
        .unwrap()
}

fn entries_of(model: &Model) -> Vec<Entry> {
    model.iter().map(|(k, e)| (StateKeyNumber(*k), EventNumber(*e))).collect()
}

fn difference(a: &Model, b: &Model) -> Vec<StateChange> {
    let keys: std::collections::BTreeSet<u64> = a.keys().chain(b.keys()).copied().collect();
    keys.into_iter()
        .map(|key| StateChange {
            key: StateKeyNumber(key),
            before: a.get(&key).copied().map(EventNumber),
            after: b.get(&key).copied().map(EventNumber),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// Keys as they are in rooms (few types, dense numbers), and any others.
fn key() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0_u64..4, 0_u64..400).prop_map(|(t, k)| StateKeyNumber::new(t, k).0),
        2 => any::<u64>(),
        1 => Just(u64::MAX),
        1 => Just(0),
    ]
}

fn edits() -> impl Strategy<Value = Vec<(u64, Option<u64>)>> {
    let event = prop_oneof![3 => (0_u64..5).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((key(), event), 0..120)
}

async fn apply(
    tree: &StateTree,
    mut root: StateRoot,
    model: &mut Model,
    edits: &[(u64, Option<u64>)],
) -> StateRoot {
    for (key, event) in edits {
        root = match event {
            Some(event) => {
                model.insert(*key, *event);
                insert(tree, root, &[(*key, *event)]).await
            }
            None => {
                model.remove(key);
                remove(tree, root, &[*key]).await
            }
        };
    }
    root
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn it_is_a_map_and_equal_states_have_equal_roots(edits in edits(), probe in key()) {
        now(async {
            let tree = tree();
            let mut model = Model::new();
            let root = apply(&tree, StateRoot::EMPTY, &mut model, &edits).await;
            prop_assert_eq!(tree.entries(root).await.unwrap(), entries_of(&model));
            prop_assert_eq!(tree.len(root).await.unwrap(), model.len() as u64);
            let whole: Vec<(u64, u64)> = model.iter().map(|(k, e)| (*k, *e)).collect();
            prop_assert_eq!(insert(&tree, StateRoot::EMPTY, &whole).await, root);
            let (some, rest) = whole.split_at(whole.len() / 2);
            let other = insert(&tree, StateRoot::EMPTY, rest).await;
            prop_assert_eq!(insert(&tree, other, some).await, root);
            for key in model.keys().copied().chain([probe]) {
                let found = tree.get(root, StateKeyNumber(key)).await.unwrap();
                prop_assert_eq!(found, model.get(&key).copied().map(EventNumber));
            }
            for of_type in 0..4 {
                let found = tree.entries_of_type(root, of_type).await.unwrap();
                let mut wanted = entries_of(&model);
                wanted.retain(|(key, _)| key.type_number() == of_type);
                prop_assert_eq!(found, wanted);
            }
            let all: Vec<u64> = model.keys().copied().collect();
            prop_assert_eq!(remove(&tree, root, &all).await, StateRoot::EMPTY);
            Ok(())
        })?;
    }

    #[test]
    fn a_difference_is_what_differs(common in edits(), of_a in edits(), of_b in edits()) {
        now(async {
            let tree = tree();
            let mut model = Model::new();
            let base = apply(&tree, StateRoot::EMPTY, &mut model, &common).await;
            let (mut model_a, mut model_b) = (model.clone(), model.clone());
            let a = apply(&tree, base, &mut model_a, &of_a).await;
            let b = apply(&tree, base, &mut model_b, &of_b).await;
            prop_assert_eq!(tree.diff(a, b).await.unwrap(), difference(&model_a, &model_b));
            prop_assert_eq!(tree.diff(b, a).await.unwrap(), difference(&model_b, &model_a));
            prop_assert_eq!(tree.diff(a, a).await.unwrap(), vec![]);
            Ok(())
        })?;
    }

    #[test]
    fn nodes_come_back_and_no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Some(node) = Node::decode(&bytes) {
            prop_assert_eq!(Node::decode(&node.encode()), Some(node));
        }
    }
}

#[tokio::test]
async fn changes_of_one_transaction_build_on_each_other() {
    let tree = tree();
    let shared = &tree;
    let of_store = tree.store.clone();
    let root = of_store
        .write::<_, StoreError, _, _>(|tx| async move {
            let mut root = StateRoot::EMPTY;
            for n in 0..100 {
                root = shared.insert(&tx, root, &[(StateKeyNumber(n), EventNumber(n))]).await?;
            }
            assert_eq!(shared.within(&tx).len(root).await?, 100);
            Ok(root)
        })
        .await
        .unwrap();
    assert_eq!(tree.len(root).await.unwrap(), 100);
}

#[tokio::test]
async fn a_dropped_transaction_leaves_nothing_that_seems_stored() {
    let tree = tree();
    let entries: Vec<Entry> = (0..100).map(|n| (StateKeyNumber(n), EventNumber(n))).collect();
    let (shared, given) = (&tree, &entries);
    let lost = parking_lot::Mutex::new(StateRoot::EMPTY);
    let root_of_lost = &lost;
    let outcome = tree
        .store
        .write::<(), StoreError, _, _>(|tx| async move {
            let root = shared.insert(&tx, StateRoot::EMPTY, given).await?;
            shared.within(&tx).entries(root).await?;
            *root_of_lost.lock() = root;
            Err(StoreError::Closed)
        })
        .await;
    assert!(outcome.is_err());
    let root = *lost.lock();
    assert!(matches!(tree.entries(root).await, Err(StoreError::Corrupt(_))));
    let again: Vec<(u64, u64)> = (0..100).map(|n| (n, n)).collect();
    assert_eq!(insert(&tree, StateRoot::EMPTY, &again).await, root);
    assert_eq!(tree.entries(root).await.unwrap(), entries);
}

#[tokio::test]
async fn a_change_of_a_big_state_writes_few_nodes() {
    let tree = tree();
    let members: Vec<(u64, u64)> = (0..100_000).map(|n| (StateKeyNumber::new(7, n).0, n)).collect();
    let root = insert(&tree, StateRoot::EMPTY, &members).await;
    let new = insert(&tree, root, &[(StateKeyNumber::new(7, 54_321).0, 1)]).await;
    assert_ne!(root, new);
    let cached_before = tree.cache.lock().len();
    let changes = tree.diff(root, new).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert!(tree.cache.lock().len() - cached_before <= 10);
}
