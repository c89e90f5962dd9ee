package mq.foreign.cmqtcp;

import com.qcloud.cmq.client.http.Json.JSONArray;
import com.qcloud.cmq.client.http.Json.JSONObject;
import java.util.HashSet;
import java.util.Set;
import java.util.Vector;

/** The parameters of a call, each of which has to be asked for. */
final class Params {
    private final JSONObject params;
    private final Set<String> left;

    Params(JSONObject params) {
        this.params = params;
        this.left = new HashSet<>(params.keySet());
        left.remove("Action");
    }

    String text(String name) {
        String value = textIf(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is missing");
        }
        return value;
    }

    String textIf(String name) {
        left.remove(name);
        return params.has(name) ? params.getString(name) : null;
    }

    int number(String name, int otherwise) {
        left.remove(name);
        return params.optInt(name, otherwise);
    }

    boolean has(String name) {
        return params.has(name);
    }

    /** Null if it is not given, as the SDK has it. */
    Vector<String> list(String name) {
        left.remove(name);
        JSONArray values = params.optJSONArray(name);
        if (values == null) {
            return null;
        }
        Vector<String> found = new Vector<>();
        for (int i = 0; i < values.length(); i++) {
            found.add(values.getString(i));
        }
        return found;
    }

    /** What was not asked for was not sent either: that is told. */
    void finish() {
        if (!left.isEmpty()) {
            throw new UnsupportedOperationException("the SDK has no parameter " + left);
        }
    }
}
