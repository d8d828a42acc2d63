"""The fixture ``metrics``: the change of a sample since the start of the test."""

from __future__ import annotations

from tests.testing.user import User


def test_metrics_of_the_library_and_of_the_user_are_compared_with_the_start(user: User) -> None:
    """Samples with further labels are summed."""
    user.passes("""
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_counts(client, metrics, number):
            for kind in ["book", "book", "pen"]:
                client.post(f"/orders/{kind}")

            assert 2 == metrics("orders_total", kind="book")
            assert 3 == metrics("orders_total")
            assert 0 == metrics("orders_total", kind="car")
            assert 3 == metrics("price_count")
            assert 37.5 == metrics("price_sum")
            assert 3 == metrics("price_bucket", le="+Inf")
            assert 3 == metrics("flask_http_request_total", route="/orders/<kind>", status=200)
            assert 3 == metrics("flask_http_request_duration_seconds_count", route="/orders/<kind>")
            assert 0 == metrics("service_requests_in_flight")
    """)


def test_what_was_counted_before_the_test_does_not_count(user: User) -> None:
    user.passes("""
        import service

        service.ORDERS.labels("book").inc(7)

        def test_counts(client, metrics):
            client.post("/orders/book")
            assert 1 == metrics("orders_total", kind="book")
            client.post("/orders/book")
            assert 2 == metrics("orders_total", kind="book")
    """)


def test_a_metric_without_a_value_yet_is_0(user: User) -> None:
    """Its labels have not been used."""
    user.passes("""
        def test_counts(metrics):
            assert 0 == metrics("orders_total", kind="book")
    """)


def test_an_unknown_name_is_refused_with_those_that_are_known(user: User) -> None:
    user.passes("""
        import pytest

        @pytest.mark.parametrize(
            ("name", "labels", "expected"),
            [
                ("orders", {}, "The scrape has no sample called 'orders'. Did you mean orders_total?"),
                ("order_totals", {}, "The scrape has no sample called 'order_totals'. Did you mean orders_total"),
                ("price", {}, "Did you mean price_bucket or price_count or price_sum?"),
                ("zzzzzz", {}, "The scrape has no sample called 'zzzzzz'. It has flask_http_request_duration_seconds_"),
                ("flask_http_request_total", {"path": "/"}, "flask_http_request_total has no label 'path'. "),
                ("flask_http_request_total", {"path": "/"}, "Its labels are method, route, status."),
                ("service_requests_in_flight", {"route": "/"}, "It has no labels."),
            ],
        )
        def test_counts(client, metrics, name, labels, expected):
            with pytest.raises(LookupError) as raised:
                metrics(name, **labels)
            assert expected in str(raised.value)
    """)


def test_the_line_of_the_test_is_shown_and_not_the_inside_of_the_plugin(user: User) -> None:
    said = user.message("""
        def test_counts(metrics):
            metrics("orders")
    """)

    assert "Did you mean orders_total?" in said
    assert '>       metrics("orders")' in said


def test_no_check_runs_for_a_metric(user: User) -> None:
    """A user's check may need a database, which a test of metrics does not have."""
    user.passes("""
        def test_counts(client, metrics, log_lines, app):
            app.config["BROKEN"] = True
            client.get("/stream")
            assert 1 == metrics("flask_http_request_total", route="/stream")
            assert [] == log_lines(check="database")
    """)
