import pytest

# Not a file of tests by its name.
pytest.register_assert_rewrite("tests.chassis.store_contract")
