"""Airflow's hook and operator for the Redshift Data API, from the provider's own code, without a scheduler and without
Airflow's database: the connection comes from the environment."""

import pytest

TARGET = {"cluster_identifier": "local-cluster", "database": "dev", "db_user": "local"}


@pytest.fixture(autouse=True)
def airflow(monkeypatch, tmp_path, stack):
    # Airflow reads its folder when it is imported.
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")


@pytest.fixture
def hook(airflow):
    from airflow.providers.amazon.aws.hooks.redshift_data import RedshiftDataHook

    return RedshiftDataHook(aws_conn_id="aws_default")


@pytest.fixture
def operator(airflow):
    from airflow.providers.amazon.aws.operators.redshift_data import RedshiftDataOperator

    def make(**arguments):
        return RedshiftDataOperator(
            task_id="statement", poll_interval=1, wait_for_completion=True, aws_conn_id="aws_default", **TARGET, **arguments
        )

    return make


def test_the_hook_waits_for_a_query(hook):
    made = hook.execute_query(sql="select 1", wait_for_completion=True, poll_interval=1, **TARGET)
    assert hook.check_query_is_finished(made.statement_id)
    assert made.session_id is None


def test_the_hook_keeps_a_session(hook, name):
    table = name.replace("-", "_")
    first = hook.execute_query(
        sql=f"create temp table {table} (a int)",
        session_keep_alive_seconds=60,
        wait_for_completion=True,
        poll_interval=1,
        **TARGET,
    )
    # A temporary table is there in its session only.
    again = hook.execute_query(
        sql=f"select count(*) from {table}",
        session_id=first.session_id,
        wait_for_completion=True,
        poll_interval=1,
        database=None,
    )
    assert again.session_id == first.session_id
    assert hook.conn.get_statement_result(Id=again.statement_id)["Records"] == [[{"longValue": 0}]]


def test_the_operator_returns_the_result(operator):
    result = operator(sql="select 1 as a, 'x' as b", return_sql_result=True).execute({})
    assert result[0]["Records"] == [[{"longValue": 1}, {"stringValue": "x"}]]
    assert [column["name"] for column in result[0]["ColumnMetadata"]] == ["a", "b"]


def test_the_operator_runs_a_batch_and_returns_its_ids(operator, client, name):
    table = name.replace("-", "_")
    ids = operator(sql=[f"create table {table} (a int)", f"insert into {table} values (1), (2)"]).execute({})
    batch = ids[0].split(":")[0]
    assert ids == [f"{batch}:1", f"{batch}:2"]
    described = client("redshift-data").describe_statement(Id=batch)
    assert [one["Status"] for one in described["SubStatements"]] == ["FINISHED", "FINISHED"]
    rows = operator(sql=f"select count(*) from {table}", return_sql_result=True).execute({})
    assert rows[0]["Records"] == [[{"longValue": 2}]]


def test_the_operator_passes_parameters(operator):
    parameters = [{"name": "n", "value": "41"}]
    result = operator(sql="select :n::int + 1", parameters=parameters, return_sql_result=True).execute({})
    assert result[0]["Records"] == [[{"longValue": 42}]]


def test_a_failed_statement_fails_the_task(operator):
    from airflow.providers.amazon.aws.hooks.redshift_data import RedshiftDataQueryFailedError

    with pytest.raises(RedshiftDataQueryFailedError, match="nothing"):
        operator(sql="select nothing").execute({})


def test_a_killed_task_cancels_its_statement(airflow, client):
    data = client("redshift-data")
    from airflow.providers.amazon.aws.operators.redshift_data import RedshiftDataOperator

    task = RedshiftDataOperator(
        task_id="statement",
        sql="with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) "
        "select count(*) from n a cross join n b cross join n c",
        wait_for_completion=False,
        aws_conn_id="aws_default",
        **TARGET,
    )
    statement = task.execute({})[0]
    while data.describe_statement(Id=statement)["Status"] != "STARTED":
        pass
    task.on_kill()
    for _ in range(5000):
        if data.describe_statement(Id=statement)["Status"] == "ABORTED":
            return
    raise AssertionError("the statement runs on")
