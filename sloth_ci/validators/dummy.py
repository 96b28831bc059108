"""The dummy provider: takes what anybody posts, for trying things out.

The params are the top-level texts of a JSON object, or the fields of a form, whose names can be
names of params; everything else in the body is passed over.

    listen_point: test/dummy

    provider:
        dummy:
            # Say so, since nothing proves who sends; or give a secret, and the sender must send
            # `X-Sloth-Signature: sha256=<HMAC-SHA256 of the body in hex>`.
            allow_unsigned: true

            # Globs for the param named branch, if there is one.
            branches:
                - master

    actions:
        - echo "{greeting}, {branch}"

Try it with `curl -d greeting=hello -d branch=master http://localhost:8080/test/dummy`.
It is the smallest validator and shows how one is written: answer an authentic request with a
`Verdict`, and put the class where an entry point of the group `sloth_ci.validators` finds it.
"""

from collections.abc import Mapping

from sloth_ci.request import Request
from sloth_ci.validators import Validator, Verdict
from sloth_ci.validators.changes import check_name, ignore_branch
from sloth_ci.validators.payload import check_text, is_form, read_form, read_json


class DummyValidator(Validator):
    """Deliveries of nobody in particular."""

    provider = "the dummy provider"

    def judge(self, request: Request) -> Verdict:
        """One build with the params that were sent."""
        params = self._read_params(request)
        for name in ("ref", "branch", "tag", "commit"):
            check_name(params.get(name, ""), provider=self.provider, field=name)
        reason = ignore_branch(self.options, params["branch"]) if params.get("branch") else ""
        return Verdict("", None, () if reason else (params,), reason)

    def _read_params(self, request: Request) -> Mapping[str, str]:
        if is_form(request):
            fields = read_form(request)
        else:
            fields = read_json(request, provider=self.provider).texts()
        return {
            name: check_text(value, provider=self.provider, field=name)
            for name, value in fields.items()
            if name.isascii() and name.isidentifier()
        }


VALIDATOR = DummyValidator
