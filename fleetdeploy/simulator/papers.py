"""What an app's owner must have in order before an audit or a release (platform-api.md 1.2)."""

from fleetdeploy.simulator.behaviour import Authorization, Behaviour, CategoryState
from fleetdeploy.simulator.rows import (
    AUTHENTICITY_MISSING,
    CATEGORY_IN_REVIEW,
    CATEGORY_NOT_APPROVED,
    ENTITY_NOT_APPROVED,
    NAME_AND_CATEGORY_NOT_APPROVED,
    NAME_NOT_APPROVED,
    NO_AUTHORIZATION,
    NO_SCOPE,
    QuotaState,
    Refusal,
)


def authorization_refusal(behaviour: Behaviour) -> Refusal | None:
    match behaviour.authorization:
        case Authorization.WITHDRAWN:
            return Refusal(NO_AUTHORIZATION, "没有授权关系，请检查")
        case Authorization.NO_SCOPE:
            return Refusal(NO_SCOPE, "无此小程序操作权限")
        case Authorization.GRANTED:
            return None


def audit_refusal(behaviour: Behaviour) -> Refusal | None:
    named = behaviour.name_approved
    match behaviour.category:
        case CategoryState.IN_REVIEW:
            return Refusal(CATEGORY_IN_REVIEW, "当前有类目正在审核中")
        case CategoryState.NOT_APPROVED if named:
            return Refusal(CATEGORY_NOT_APPROVED, "服务类目审核通过后，可以提交小程序代码包审核")
        case CategoryState.NOT_APPROVED:
            return Refusal(
                NAME_AND_CATEGORY_NOT_APPROVED,
                "小程序名称和服务类目审核通过后，可以提交小程序代码包审核",
            )
        case CategoryState.APPROVED if not named:
            return Refusal(NAME_NOT_APPROVED, "小程序名称审核通过后，可以提交小程序代码审核")
        case CategoryState.APPROVED:
            return None


def release_refusal(behaviour: Behaviour) -> Refusal | None:
    if not behaviour.entity_approved:
        return Refusal(ENTITY_NOT_APPROVED, "主体资质没有审核通过，请先通过主体资质审核！")
    if not behaviour.authenticity_passed:
        return Refusal(AUTHENTICITY_MISSING, "请先完成高级认证")
    return None


class QuotaBook:
    """The audit quota of one app: so many submissions per period, counted from `began`."""

    __slots__ = ("_began", "_period", "_used")

    def __init__(self, used: int, began: float) -> None:
        self._used = used
        self._began = began
        self._period = 0

    def state(self, behaviour: Behaviour, now: float) -> QuotaState:
        """Tell what is left; a new period starts with nothing used."""
        period = int((now - self._began) // behaviour.quota_period_s)
        if period > self._period:
            self._period = period
            self._used = 0
        times = behaviour.quota_times
        return QuotaState(times, -1 if times < 0 else max(0, times - self._used))

    def take(self) -> None:
        self._used += 1

    def give_back(self) -> None:
        self._used = max(0, self._used - 1)
