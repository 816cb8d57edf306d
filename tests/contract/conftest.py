"""Lets the asserts of the shared contracts explain themselves like those of a test module."""

import pytest

pytest.register_assert_rewrite(
    "tests.contract.platform_contract", "tests.contract.stage", "tests.contract.store_contract"
)
