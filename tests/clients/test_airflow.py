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


def test_the_hook_waits_and_reads_the_catalogue(hook, name):
    table = name.replace("-", "_")
    made = hook.execute_query(
        sql=[f"create table {table} (a int primary key, b varchar(10))", f"insert into {table} values (1, 'x')"],
        wait_for_completion=True,
        poll_interval=1,
        **TARGET,
    )
    assert hook.check_query_is_finished(made.statement_id)
    assert hook.get_table_primary_key(table=table, **TARGET) == ["a"]


def test_the_operator_returns_the_result(operator):
    result = operator(sql="select 1 as a, 'x' as b", return_sql_result=True).execute({})
    assert result[0]["Records"] == [[{"longValue": 1}, {"stringValue": "x"}]]
    assert [column["name"] for column in result[0]["ColumnMetadata"]] == ["a", "b"]


def test_the_operator_runs_a_batch_and_returns_its_id(operator, client, name):
    table = name.replace("-", "_")
    ids = operator(sql=[f"create table {table} (a int)", f"insert into {table} values (1), (2)"]).execute({})
    described = client("redshift-data").describe_statement(Id=ids[0])
    assert (described["Status"], len(described["SubStatements"])) == ("FINISHED", 2)
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


def test_a_killed_task_cancels_its_statement(operator, client):
    data = client("redshift-data")
    from airflow.providers.amazon.aws.operators.redshift_data import RedshiftDataOperator

    task = RedshiftDataOperator(
        task_id="statement",
        sql="select pg_sleep(600)",
        wait_for_completion=False,
        aws_conn_id="aws_default",
        **TARGET,
    )
    statement = task.execute({})[0]
    task.statement_id = statement
    task.on_kill()
    for _ in range(5000):
        if data.describe_statement(Id=statement)["Status"] == "ABORTED":
            return
    raise AssertionError("the statement runs on")
